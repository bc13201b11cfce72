//! Runs operations a few times, and marks where each run begins and ends.

use std::io;
use std::process::ExitCode;

use clap::Parser;
use dmashare_bench::{OperationArguments, exit_code, other_process, run_operations};

/// Run operations as dmashare, its floor and others do them, for strace and other tools
///
/// Each run begins with a look for the file /OPERATION/BY/run-begins and ends with one for
/// /OPERATION/BY/run-ends; when what it started is over, there is one for /OPERATION/BY/run-settled.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    operation: OperationArguments,
}

fn main() -> ExitCode {
    if let Some(served) = other_process::serve_if_asked() {
        return served;
    }
    let arguments = Arguments::parse();
    exit_code(run_operations(
        &arguments.operation,
        |run| allocation_counter::measure(run).count_total,
        &mut io::stdout(),
    ))
}
