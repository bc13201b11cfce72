//! Shows a camera's own buffers on a display, under a layer drawn by Vulkan, without copying a pixel.

use std::process::ExitCode;

use clap::Parser as _;
use dmashare_samples::{camera, program};

fn main() -> ExitCode {
    let options = camera::Options::parse();
    program::run("camera", options.json, || camera::run(&options))
}
