//! Makes the report of what was measured.
#![allow(
    clippy::print_stdout,
    reason = "a program's answers go to its standard output"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};
use clap::Parser;
use dmashare_bench::exit_code;
use dmashare_bench::report::{Data, document, files, losses, peer_versions, verdicts};

/// This workspace.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The report of what criterion and the benches have measured
///
/// Without options, prints it as Markdown.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Criterion's folder [default: target/criterion]
    #[arg(long, value_name = "DIR", conflicts_with = "from")]
    criterion: Option<PathBuf>,
    /// Leave out results from before this time
    #[arg(long, value_name = "UNIX_SECONDS", conflicts_with = "from")]
    since: Option<u64>,
    /// Make the report of these data of an earlier one
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Write index.html, benchmarks.md with its pictures, and benchmarks.json into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write the project's own figures: docs/benchmarks.* and the table of the README
    #[arg(long)]
    docs: bool,
    /// Print the data, the targets' verdicts and the losses as one JSON object
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    exit_code(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<()> {
    let data = match &arguments.from {
        Some(file) => files::read_data(file)?,
        None => read(arguments)?,
    };
    if data.is_empty() {
        bail!("no bench was measured: no name matched, or nothing is there yet");
    }
    if let Some(folder) = &arguments.out {
        files::write_report(folder, &data)?;
    }
    if arguments.docs {
        files::write_docs(Path::new(ROOT), &data)?;
    }
    if arguments.json {
        let mut object = serde_json::to_value(&data)?;
        if let Some(object) = object.as_object_mut() {
            object.insert(
                "verdicts".to_owned(),
                serde_json::to_value(verdicts(&data))?,
            );
            object.insert("losses".to_owned(), serde_json::to_value(losses(&data))?);
        }
        println!("{object}");
    } else {
        print!("{}", document(&data)?.text);
        if let Some(folder) = &arguments.out {
            println!("\nThe report is {}", folder.join(files::PAGE).display());
        }
    }
    Ok(())
}

fn read(arguments: &Arguments) -> Result<Data> {
    let since = SystemTime::UNIX_EPOCH + Duration::from_secs(arguments.since.unwrap_or(0));
    let criterion = arguments.criterion.clone();
    let criterion = criterion.unwrap_or_else(|| Path::new(ROOT).join("target/criterion"));
    let mut data = Data::read(&criterion, since)?;
    data.peers = peer_versions(&Path::new(ROOT).join("Cargo.lock"))?;
    data.commit = commit();
    Ok(data)
}

/// The commit that is checked out, if git knows one.
fn commit() -> Option<String> {
    let output = Command::new("git")
        .args(["-C", ROOT, "rev-parse", "--short=12", "HEAD"])
        .output()
        .ok()?;
    let commit = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !commit.is_empty()).then_some(commit)
}
