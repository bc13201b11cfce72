//! Lets one Vulkan device draw and another read the same memory, and checks every pixel.

use std::process::ExitCode;

use clap::Parser as _;
use dmashare_samples::{program, share};

fn main() -> ExitCode {
    let options = share::Options::parse();
    program::run("share", options.json, || share::run(&options))
}
