//! The program `evict` while others interfere and memory runs out.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use support::displays;
use support::eviction::{evicts, number};

/// Another thread pins, attaches, moves and trims at random, and one in twenty allocations and copies
/// fails: for 300 frames nothing is lost.
fn nothing_is_lost(mode: &str) {
    let _displays = displays();
    let json = evicts(&[
        "--mode",
        mode,
        "--buffers",
        "64",
        "--budget",
        "16",
        "--frames",
        "300",
        "--disturb",
        "--faults",
        "50",
        "--seed",
        "7",
    ]);
    assert!(number(&json, "moves") > 300, "{json}");
    assert!(number(&json, "faults") > 100, "{json}");
    assert!(
        json["disturbances"]["done"].as_u64().unwrap() > 300,
        "{json}"
    );
}

#[test]
fn i13_nothing_is_lost_while_others_interfere_and_memory_runs_out() {
    nothing_is_lost("640x480");
}

#[test]
#[ignore = "long: the same with larger buffers"]
fn i13_nothing_of_larger_buffers_is_lost_while_others_interfere() {
    nothing_is_lost("1024x768");
}
