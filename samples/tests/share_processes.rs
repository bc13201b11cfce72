//! The program `share` between two processes, which wait for each other.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use support::sharing::{FORMATS, shares};

#[test]
fn odd_and_large_sizes() {
    for (extent, frames) in [("1x1", 2), ("333x77", 2), ("4096x2160", 1)] {
        shares("XRGB8888", extent, frames, true);
    }
}

#[test]
#[ignore = "long: more frames of the largest size"]
fn several_frames_of_a_large_size() {
    shares("XRGB8888", "4096x2160", 4, true);
}

#[test]
fn every_kind_of_format() {
    for format in FORMATS {
        shares(format, "123x45", 1, true);
    }
}
