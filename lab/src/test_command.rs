//! `cargo lab test`: every test of the workspace, each executable in a guest of its own; the lab's
//! own tests on the host, because they start guests. In between, the runtime is tested with the locks
//! of a model checker, which tries threads in every order.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;

use crate::runner::{self, ExecutableRun};
use crate::workspace::{self, Workspace};
use crate::{inherited_child, setup};

/// The lab's own package.
const LAB: &str = env!("CARGO_PKG_NAME");
/// The package that is compared with others, and the feature with which it links them.
const BENCHES: &str = "dmashare-bench";
const PEERS: &str = "dmashare-bench/peers";
/// The package whose locks a model checker can take the place of.
const RUNTIME: &str = "dmashare";

/// Arguments of `cargo lab test`.
#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// Run the tests whose name contains this
    filter: Option<String>,
    /// Run the tests of this package; may be repeated
    #[arg(short, long, value_name = "PACKAGE")]
    package: Vec<String>,
    /// Time limit of one test executable
    #[arg(long, default_value = "600", value_name = "SECONDS")]
    timeout: u32,
    /// Displays of each guest
    #[arg(long, default_value = "3", value_name = "N")]
    displays: u32,
    /// Processors of each guest
    #[arg(long, default_value = "1", value_name = "N")]
    cpus: u32,
    /// Do not load the Vulkan validation layers
    #[arg(long)]
    no_validate: bool,
}

/// Runs the tests; returns the exit status.
///
/// # Errors
/// When set-up fails or cargo cannot be run.
pub(crate) fn run(arguments: &TestArguments) -> Result<i32> {
    setup::ensure()?;
    let workspace = Workspace::find()?;
    let report = tempfile::NamedTempFile::new().context("cannot make the report's file")?;
    let started = Instant::now();
    let mut failed = Vec::new();

    let chosen = |package: &str| {
        arguments.package.is_empty() || arguments.package.iter().any(|name| name == package)
    };
    let inside: Vec<&str> = arguments
        .package
        .iter()
        .map(String::as_str)
        .filter(|package| *package != LAB)
        .collect();
    let mut options = vec![
        format!("--timeout={}", arguments.timeout),
        format!("--displays={}", arguments.displays),
        format!("--cpus={}", arguments.cpus),
        format!("--report={}", report.path().display()),
    ];
    if !arguments.no_validate {
        options.push("--validate".to_owned());
    }
    if arguments.package.is_empty() || !inside.is_empty() {
        let mut cargo = workspace::cargo();
        cargo.current_dir(&workspace.root).arg("test");
        if inside.is_empty() {
            cargo.args(["--workspace", "--exclude", LAB]);
        }
        for package in inside {
            cargo.args(["--package", package]);
        }
        if chosen(BENCHES) {
            cargo.args(["--features", PEERS]);
        }
        runner::use_for(&mut cargo, &options)?;
        cargo.arg("--no-fail-fast").args(&arguments.filter);
        if !inherited_child::run(&mut cargo)?.success() {
            failed.push("the tests in the lab");
        }
    }
    // A filter is for a look at some tests; building the runtime a second time is not part of that.
    if chosen(RUNTIME) && arguments.filter.is_none() {
        let mut cargo = workspace::cargo();
        cargo
            .current_dir(&workspace.root)
            .args(["test", "--package", RUNTIME]);
        cargo.args(["--features", "shuttle", "--test", "shuttle"]);
        runner::use_for(&mut cargo, &options)?;
        cargo.arg("--no-fail-fast");
        if !inherited_child::run(&mut cargo)?.success() {
            failed.push("the tests of threads in every order");
        }
    }
    if chosen(LAB) {
        let mut cargo = workspace::cargo();
        cargo
            .current_dir(&workspace.root)
            .args(["test", "--no-fail-fast", "--package", LAB])
            .args(&arguments.filter);
        if !inherited_child::run(&mut cargo)?.success() {
            failed.push("the lab's own tests");
        }
    }

    let runs = fs::read_to_string(report.path()).context("cannot read the report")?;
    print_summary(&runs, started)?;
    if failed.is_empty() {
        println!("lab: all tests passed");
        Ok(0)
    } else {
        println!("lab: FAILED: {}", failed.join(", "));
        Ok(1)
    }
}

/// Prints what each executable took.
fn print_summary(runs: &str, started: Instant) -> Result<()> {
    println!("\nlab: test executables run in the lab");
    for line in runs.lines() {
        let run: ExecutableRun = serde_json::from_str(line)?;
        let name = run.executable.file_name().unwrap_or_default().display();
        let verdict = match run.status {
            0 => "ok".to_owned(),
            status => format!("FAILED (exit status {status})"),
        };
        println!("  {:7.1} s  {name}  {verdict}", run.seconds);
    }
    println!("lab: {:.0} s in all", started.elapsed().as_secs_f64());
    Ok(())
}
