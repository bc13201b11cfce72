//! `cargo lab bench`: the workspace's criterion benches in a guest, and how each compares with the
//! same work written directly.

use std::ffi::OsString;
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};
use clap::Args;

use crate::workspace::{self, Workspace};
use crate::{inherited_child, ratios, runner, setup};

/// The package with the benches.
const BENCHES: &str = "dmashare-bench";

/// Arguments of `cargo lab bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// Print the ratios as one JSON object
    #[arg(long)]
    json: bool,
    /// Arguments for criterion, such as a name to run only some benches
    #[arg(last = true)]
    criterion: Vec<OsString>,
}

/// Runs the benches, prints the ratios of what was measured; returns the exit status.
///
/// # Errors
/// When set-up fails, cargo cannot be run, or criterion's results cannot be read.
pub(crate) fn run(arguments: &BenchArguments) -> Result<i32> {
    setup::ensure()?;
    let workspace = Workspace::find()?;
    if !workspace.has_package(BENCHES) {
        bail!("this workspace has no package {BENCHES}");
    }
    let results = workspace.target.join("criterion");
    // A file system may keep times to the second.
    let started = SystemTime::now() - Duration::from_secs(1);
    let mut cargo = workspace::cargo();
    cargo.current_dir(&workspace.root).args([
        "bench",
        "--package",
        BENCHES,
        "--benches",
        "--features",
        "peers",
    ]);
    let options = [
        "--bench".to_owned(),
        "--displays=1".to_owned(),
        format!("--env=CRITERION_HOME={}", results.display()),
    ];
    runner::use_for(&mut cargo, &options)?;
    cargo.arg("--").args(&arguments.criterion);
    let status = inherited_child::run(&mut cargo)?;
    let ratios = ratios::read(&results, started)?;
    if arguments.json {
        println!("{}", serde_json::to_string(&ratios)?);
    } else {
        print!("\n{}", ratios.tables());
    }
    if !status.success() {
        return Ok(status.code().unwrap_or(1));
    }
    if ratios.is_empty() {
        bail!("no bench was measured: no name matched");
    }
    Ok(0)
}
