//! Runs operations a few times, and marks where each run begins and ends.
#![allow(
    clippy::print_stdout,
    reason = "a program's answers go to its standard output"
)]

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use dmashare_bench::{
    By, Machine, Opened, Operation, OperationKind, Parameter, exit_code, other_process,
};

/// Run operations as dmashare and as their floors do them, for strace and other tools
///
/// Each run begins with a look for the file /OPERATION/BY/run-begins and ends with one for
/// /OPERATION/BY/run-ends; when what it started is over, there is one for /OPERATION/BY/run-settled.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// What to do [default: everything]
    operations: Vec<OperationKind>,
    /// Who does it [default: everyone who can]
    #[arg(long)]
    by: Option<By>,
    /// Size of the images, for flips of a mode of the display, or a number of fences [default: the
    /// smallest measured]
    #[arg(long)]
    size: Option<Parameter>,
    /// How many times
    #[arg(long, default_value_t = 10)]
    times: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    if let Some(served) = other_process::serve_if_asked() {
        return served;
    }
    exit_code(run_all(&Arguments::parse()))
}

fn run_all(arguments: &Arguments) -> Result<()> {
    let machine = Machine::open()?;
    let operations = match arguments.operations.as_slice() {
        [] => &OperationKind::ALL,
        asked => asked,
    };
    let (mut done, mut absent) = (Vec::new(), Vec::new());
    for kind in operations {
        let sizes = kind.sizes(&machine)?;
        let size = arguments.size.or_else(|| sizes.first().copied());
        let size = size.context("there is no size")?;
        for &by in kind.sides() {
            if arguments.by.is_some_and(|wanted| wanted != by) {
                continue;
            }
            let operation = match kind.open(by, &machine, size)? {
                Opened::Ready(operation) => operation,
                Opened::Absent(reason) => {
                    absent.push(serde_json::json!({
                        "operation": kind.to_string(),
                        "by": by.to_string(),
                        "reason": reason,
                    }));
                    if !arguments.json {
                        println!("{kind} by {by}: cannot: {reason}");
                    }
                    continue;
                }
            };
            run(*kind, by, operation, arguments.times)?;
            done.push(serde_json::json!({
                "operation": kind.to_string(),
                "by": by.to_string(),
                "size": size.to_string(),
                "times": arguments.times,
            }));
            if !arguments.json {
                println!("{kind} by {by} at {size}: {} times", arguments.times);
            }
        }
    }
    if arguments.json {
        let device = machine.exporter().name();
        println!(
            "{}",
            serde_json::json!({ "device": device, "runs": done, "absent": absent })
        );
    }
    Ok(())
}

fn run(kind: OperationKind, by: By, mut operation: Box<dyn Operation>, times: usize) -> Result<()> {
    let mark = |what| mark(&format!("/{kind}/{by}/{what}"));
    // The first look of all makes the standard library try out the system call.
    mark("ready");
    for _ in 0..times {
        operation.prepare(1)?;
        mark("run-begins");
        operation.run()?;
        mark("run-ends");
        operation.settle()?;
        mark("run-settled");
    }
    Ok(())
}

/// A system call that is easily found in a list of them.
fn mark(path: &str) {
    let _ = Path::new(path).exists();
}
