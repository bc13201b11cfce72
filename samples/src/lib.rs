//! The programs `scanout`, `share`, `evict`, `camera` and `info`.
//!
//! - [`picture`] is the moving picture that they draw, computed on the CPU; [`painter`] draws it
//!   with Vulkan, by a second implementation of the same formula; [`pixel_format`] says which bits a
//!   color has in each format; [`capture`] compares pixels that were read back, and writes them to
//!   PNG files.
//! - [`leaks`] asks the kernel what is left over at the end.
//! - [`scanout`], [`share`], [`mod@evict`], [`camera`] and [`info`] are the programs; [`program`], [`interrupt`] and
//!   [`progress`] are what they have in common.

mod agreement;
pub mod camera;
pub mod capture;
mod capture_target;
mod display_options;
mod drawn_buffer;
pub mod evict;
mod extent_argument;
pub mod frame_pixels;
pub mod info;
pub mod interrupt;
pub mod leaks;
pub mod painter;
pub mod picture;
pub mod pixel_format;
pub mod program;
pub mod progress;
mod report_text;
mod retirement;
mod run_report;
pub mod scanout;
mod screen;
pub mod share;

/// The example of README.md, compiled as it stands there.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
