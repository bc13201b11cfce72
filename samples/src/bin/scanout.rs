//! Shows a moving picture, drawn by Vulkan, on a display, without copying a pixel.

use std::process::ExitCode;

use clap::Parser as _;
use dmashare_samples::{program, scanout};

fn main() -> ExitCode {
    let options = scanout::Options::parse();
    program::run("scanout", options.json, || scanout::run(&options))
}
