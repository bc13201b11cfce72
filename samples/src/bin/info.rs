//! Shows every Vulkan device and DRM node, and which of them can share memory directly.

use std::process::ExitCode;

use clap::Parser as _;
use dmashare_samples::{info, program};

fn main() -> ExitCode {
    let options = info::Options::parse();
    program::run("info", options.json, || info::run(&options))
}
