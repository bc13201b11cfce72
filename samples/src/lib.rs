//! What the programs `scanout`, `share` and `info` are made of.

pub mod capture;
pub mod picture;
pub mod pixel_format;
