//! More buffers than there is room for, used by two devices and a display while they move.

use std::process::ExitCode;

use clap::Parser as _;
use dmashare_samples::{evict, program};

fn main() -> ExitCode {
    let options = evict::Options::parse();
    program::run("evict", options.json, || evict::run(&options))
}
