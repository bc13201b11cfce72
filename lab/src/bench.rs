//! `cargo lab bench`: the workspace's criterion benches in a guest or on this machine, and the report of
//! what they measured.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::workspace::{self, Workspace};
use crate::{inherited_child, render_node, runner, setup};

/// The package with the benches.
const BENCHES: &str = "dmashare-bench";
/// Its program that counts what clocks cannot tell.
const COUNTERS: &str = "counters";
/// Its program that reads the results.
const REPORT: &str = "report";

/// Arguments of `cargo lab bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// Where to measure: in a guest, or on this machine with its GPU and display
    #[arg(long, value_enum, default_value_t = On::Auto)]
    on: On,
    /// Write a report into this folder: index.html, benchmarks.md and benchmarks.json
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Print what was measured as one JSON object instead of tables
    #[arg(long)]
    json: bool,
    /// Arguments for criterion, such as a name to run only some benches
    #[arg(last = true)]
    criterion: Vec<OsString>,
}

/// Where benches run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum On {
    /// On this machine if it has a GPU, else in the lab
    Auto,
    /// In a guest of the lab
    Lab,
    /// On this machine
    Machine,
}

/// Runs the benches and reports what was measured; returns the exit status.
///
/// # Errors
/// When set-up fails or cargo cannot be run.
pub(crate) fn run(arguments: &BenchArguments) -> Result<i32> {
    let (in_guest, why) = place(arguments.on, render_node::find());
    let place = if in_guest {
        "in the lab"
    } else {
        "on this machine"
    };
    let _ = writeln!(std::io::stderr(), "lab: measuring {place}: {why}");
    if in_guest {
        setup::ensure()?;
    }
    let workspace = Workspace::find()?;
    if !workspace.has_package(BENCHES) {
        bail!("this workspace has no package {BENCHES}");
    }
    let results = workspace.target.join("criterion");
    // A file system may keep times to the second.
    let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let started = started.as_secs().saturating_sub(1);
    let mut cargo = of_benches(&workspace, "bench");
    // Where something is missing for one bench, the others are measured.
    cargo
        .args(["--benches", "--no-fail-fast"])
        .env("CRITERION_HOME", &results);
    let options = [
        "--bench".to_owned(),
        "--displays=1".to_owned(),
        format!("--env=CRITERION_HOME={}", results.display()),
    ];
    if in_guest {
        runner::use_for(&mut cargo, &options)?;
    }
    cargo.arg("--").args(&arguments.criterion);
    let measured = inherited_child::run(&mut cargo)?;
    let mut counted = None;
    if arguments.report.is_some() {
        let mut counters = of_benches(&workspace, "run");
        counters
            .args(["--quiet", "--profile", "bench", "--bin", COUNTERS])
            .env("CRITERION_HOME", &results);
        if in_guest {
            runner::use_for(&mut counters, &options)?;
        }
        let status = inherited_child::run(&mut counters)?;
        // A machine of which nothing is known may have no strace. The lab has.
        counted = in_guest.then_some(status);
    }

    // With the benches' profile and features, so that nothing is compiled twice.
    let mut report = of_benches(&workspace, "run");
    report.args(["--quiet", "--profile", "bench", "--bin", REPORT, "--"]);
    report.arg("--criterion").arg(&results);
    report.args(["--since", &started.to_string()]);
    if let Some(folder) = &arguments.report {
        // Cargo is started in the workspace's folder.
        let folder = std::path::absolute(folder).context("the current folder is gone")?;
        report.arg("--out").arg(folder);
    }
    if arguments.json {
        report.arg("--json");
    }
    let reported = inherited_child::run(&mut report)?;
    // What the benches say comes first.
    let failed = [Some(measured), counted, Some(reported)]
        .into_iter()
        .flatten()
        .find(|status| !status.success());
    Ok(failed.map_or(0, |status| status.code().unwrap_or(1)))
}

/// Whether to measure in a guest, and why.
fn place(on: On, gpu: Option<render_node::RenderNode>) -> (bool, String) {
    match (on, gpu) {
        (On::Lab, _) => (true, "as asked for".to_owned()),
        (On::Machine, _) => (false, "as asked for".to_owned()),
        (On::Auto, Some(gpu)) => {
            let why = format!("it has a GPU ({}, {})", gpu.name, gpu.driver);
            (false, why)
        }
        (On::Auto, None) => (true, "this machine has no GPU's render node".to_owned()),
    }
}

/// A cargo command about the package of the benches, which is the same for all of them.
fn of_benches(workspace: &Workspace, command: &str) -> Command {
    let mut cargo = workspace::cargo();
    cargo
        .current_dir(&workspace.root)
        .args([command, "--package", BENCHES, "--features", "peers"]);
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_decides_unless_somebody_has() {
        let gpu = || {
            Some(render_node::RenderNode {
                name: "renderD128".to_owned(),
                driver: "amdgpu".to_owned(),
            })
        };
        let in_guest = |on, gpu| place(on, gpu).0;
        assert!(in_guest(On::Auto, None));
        assert!(!in_guest(On::Auto, gpu()));
        assert!(in_guest(On::Lab, gpu()));
        assert!(!in_guest(On::Machine, None));
        let (_, why) = place(On::Auto, gpu());
        assert!(
            why.contains("renderD128") && why.contains("amdgpu"),
            "{why}"
        );
    }
}
