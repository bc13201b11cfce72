//! The lab: a Linux kernel in one ordinary process, with displays, dma-buf exporters and Mesa's
//! software Vulkan, in which dmashare is tested on any machine. It is used as `cargo lab`.
#![allow(
    clippy::print_stdout,
    reason = "a program's answers go to its standard output"
)]

mod agent;
mod bench;
mod cache;
mod debian;
mod demo;
mod doctor;
mod environment;
mod guest;
mod guest_displays;
mod guest_memory;
mod host_packages;
mod inherited_child;
mod interrupt;
mod kernel;
mod kernel_config;
mod kernel_log;
mod kernel_patches;
mod management_console;
mod mountable;
mod one_processor;
mod output_relay;
mod progress;
mod render_node;
mod request;
mod root_file_system;
mod run_command;
mod runner;
mod setup;
mod shell;
mod shown_progress;
mod soak;
mod stdin_pieces;
mod subordinate_ids;
mod test_command;
mod validation;
mod watched_child;
mod workspace;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::interrupt::Interrupted;

/// A Linux kernel in one process, with displays and software Vulkan, to test dmashare in
#[derive(Debug, Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab", version)]
struct Arguments {
    #[command(subcommand)]
    command: LabCommand,
}

#[derive(Debug, Subcommand)]
enum LabCommand {
    /// Build kernel and root file system, unless the cache has them
    Setup {
        /// Print where they are as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Run a command in a guest
    Run(run_command::RunArguments),
    /// An interactive shell in a guest
    Shell(shell::ShellArguments),
    /// Show a Vulkan image on a display without a copy, and check every pixel of what it showed
    Demo(demo::DemoArguments),
    /// Run the workspace's tests, each test executable in a guest of its own
    Test(test_command::TestArguments),
    /// Move buffers around for a long time, disturbed and with failures, and check that nothing is lost
    Soak(soak::SoakArguments),
    /// Run the benchmarks, compare each with the same written directly, and report what it costs
    Bench(bench::BenchArguments),
    /// Say what is there, what is missing and what to do
    Doctor(doctor::DoctorArguments),
    /// Run an executable for cargo
    #[command(hide = true)]
    Runner(runner::RunnerArguments),
    /// The guest's first process after the init script
    #[command(hide = true)]
    Agent,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX)),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "lab: {error:#}");
            match error.downcast_ref::<Interrupted>() {
                Some(Interrupted(signal)) => {
                    ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
                }
                None => ExitCode::from(125),
            }
        }
    }
}

/// Runs a subcommand; returns the exit status.
fn run(command: LabCommand) -> Result<i32> {
    if !matches!(command, LabCommand::Agent) {
        interrupt::install()?;
    }
    match command {
        LabCommand::Setup { json } => {
            let built = setup::ensure()?;
            if json {
                println!("{}", serde_json::to_string(&built)?);
            } else {
                println!(
                    "kernel {}\nroot   {}",
                    built.kernel.display(),
                    built.root.display()
                );
            }
            Ok(0)
        }
        LabCommand::Run(arguments) => run_command::run(arguments),
        LabCommand::Shell(arguments) => shell::run(arguments),
        LabCommand::Demo(arguments) => demo::run(&arguments),
        LabCommand::Test(arguments) => test_command::run(&arguments),
        LabCommand::Soak(arguments) => soak::run(&arguments),
        LabCommand::Bench(arguments) => bench::run(&arguments),
        LabCommand::Doctor(arguments) => doctor::run(&arguments),
        LabCommand::Runner(arguments) => runner::run(arguments),
        LabCommand::Agent => agent::run(),
    }
}
