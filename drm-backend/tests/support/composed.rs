//! What a display composed, as pixels.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use dmashare::{Access, CpuAccess, Fourcc, SharedBuffer};

use super::LIMIT;

pub const FORMAT: Fourcc = Fourcc::XRGB8888;

/// Rows of pixels: blue, green, red.
pub type Pixels = Vec<Vec<[u8; 3]>>;

pub fn colors(bytes: &[u8]) -> Vec<[u8; 3]> {
    let pixels = bytes.chunks_exact(4);
    pixels.map(|pixel| pixel[..3].try_into().unwrap()).collect()
}

/// What a display composed.
pub fn seen(captured: &SharedBuffer) -> Pixels {
    captured.wait_ready(Access::Read, LIMIT).unwrap();
    let backing = captured.backing();
    let access = CpuAccess::begin(backing.dmabuf(), Access::Read).unwrap();
    let mut bytes = vec![0; access.row_bytes(0).unwrap()];
    let mut read = |y| {
        access.read_row(0, y, &mut bytes).unwrap();
        colors(&bytes)
    };
    (0..captured.desc().extent.height).map(&mut read).collect()
}
