//! Counts what each operation takes, and writes it down.
#![allow(
    clippy::print_stdout,
    reason = "a program's answers go to its standard output"
)]

use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use dmashare_bench::contract::Buffers;
use dmashare_bench::counters::{self, Counters, CountersFile, Table};
use dmashare_bench::report::IdleMemory;
use dmashare_bench::{OperationArguments, Results, exit_code, other_process, run_operations};

/// Count system calls, Vulkan calls, allocations and copied bytes of each operation, by whoever can
///
/// With CRITERION_HOME, they are written to dmashare/counters.json in there.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Write the table of what dmashare and its floor take to this file, with the texts of the table
    /// in the tree
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run operations between marks, as the program `operation`
    #[command(hide = true)]
    Operation(OperationArguments),
}

fn main() -> ExitCode {
    if let Some(served) = other_process::serve_if_asked() {
        return served;
    }
    let arguments = Arguments::parse();
    exit_code(match &arguments.command {
        Some(Command::Operation(operation)) => run_operations(
            operation,
            |run| allocation_counter::measure(run).count_total,
            &mut io::stdout(),
        ),
        None => count(&arguments),
    })
}

fn count(arguments: &Arguments) -> Result<()> {
    let program = env::current_exe().context("cannot find this program's own file")?;
    let measured = counters::measure(&[program.into(), "operation".into()])?;
    let table = Table::in_tree()?;
    if let Some(path) = &arguments.table {
        fs::write(path, table.measured_anew(&measured).text()?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let file = CountersFile::of(measured, &table);
    if let Some(criterion) = env::var_os("CRITERION_HOME") {
        let criterion = PathBuf::from(criterion);
        file.keep_beside(&criterion)?;
        Results::beside(&criterion).keep("memory.json", &idle_memory()?)?;
    }
    if arguments.json {
        println!("{}", serde_json::to_string(&file)?);
    } else {
        file.counters.iter().for_each(show);
    }
    Ok(())
}

/// What many buffers that nobody uses take of this process's heap.
fn idle_memory() -> Result<IdleMemory> {
    const BUFFERS: u32 = 10_000;
    let mut made = None;
    let allocated = allocation_counter::measure(|| {
        made = Some(Buffers::idle(
            usize::try_from(BUFFERS).unwrap_or(usize::MAX),
        ));
    });
    let buffers = made.context("they were made")??;
    let bytes = u32::try_from(allocated.bytes_current)?;
    drop(buffers);
    Ok(IdleMemory {
        buffers: BUFFERS.into(),
        bytes_per_buffer: f64::from(bytes) / f64::from(BUFFERS),
    })
}

fn show(one: &Counters) {
    println!("{} by {}", one.operation, one.by);
    let numbers = [
        ("allocations", one.allocations),
        ("bytes copied", one.bytes_copied),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            println!("  {number:>6} {name}");
        }
    }
    for (name, times) in [&one.system_calls, &one.vulkan_calls]
        .into_iter()
        .flatten()
        .flatten()
    {
        println!("  {times:>6} {name}");
    }
    for name in &one.differs {
        println!("  {:>6} {name}", "differs");
    }
    for only in &one.library_only {
        println!(
            "  beyond the floor: {} {}: {}",
            only.times, only.call, only.buys
        );
    }
}
