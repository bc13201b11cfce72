//! `cargo lab test`: every test of the workspace, each executable in a guest of its own, as many at
//! once as there are processors; the lab's own tests on the host, because they start guests. The
//! runtime is tested once more with the locks of a model checker, which tries threads in every order.

mod budget;
mod durations;
mod executables;
mod ignored;
mod running;
mod schedule;
mod selection;
mod status_line;
mod summary;

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;

use crate::test_command::budget::Tier;
use crate::test_command::durations::Durations;
use crate::test_command::executables::TestExecutable;
use crate::test_command::schedule::{Job, Slots};
use crate::test_command::selection::{Part, Selection};
use crate::test_command::summary::Summary;
use crate::workspace::{self, Workspace};
use crate::{interrupt, runner, setup};

/// The documentation tests' name in the table. Cargo runs them, and all of them are one job.
const DOCUMENTATION: &str = "documentation";

/// Arguments of `cargo lab test`.
#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// Run the tests whose name contains this
    filter: Option<String>,
    /// Run the tests of this package; may be repeated
    #[arg(short, long, value_name = "PACKAGE")]
    package: Vec<String>,
    /// Run only this integration test, such as scanout; may be repeated
    #[arg(long, value_name = "NAME")]
    test: Vec<String>,
    /// Also run the long tests, those marked #[ignore = "long: ..."]; takes up to an hour
    #[arg(long)]
    long: bool,
    /// Executables that run at once [default: one per processor, as memory allows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    jobs: Option<u32>,
    /// Time limit of one test executable [default: 600, with --long 1800]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// Displays of each guest
    #[arg(long, default_value = "3", value_name = "N")]
    displays: u32,
    /// Processors of each guest
    #[arg(long, default_value = "1", value_name = "N")]
    cpus: u32,
    /// Do not load the Vulkan validation layers
    #[arg(long)]
    no_validate: bool,
    /// Print one JSON object about the run; the tests' output goes to standard error
    #[arg(long)]
    json: bool,
}

impl TestArguments {
    fn tier(&self) -> Tier {
        if self.long { Tier::Long } else { Tier::Change }
    }

    /// Whether every test of an executable is run, so that what it took is worth remembering.
    fn is_complete(&self) -> bool {
        self.filter.is_none() && !self.no_validate
    }

    /// The options of `cargo lab runner`; it adds what it measures to `report`.
    fn runner_options(&self, report: &Path) -> Vec<String> {
        let timeout = self.timeout.unwrap_or(self.tier().time_limit());
        let mut options = vec![
            format!("--timeout={timeout}"),
            format!("--displays={}", self.displays),
            format!("--cpus={}", self.cpus),
            format!("--report={}", report.display()),
        ];
        if !self.no_validate {
            options.push("--validate".to_owned());
        }
        options
    }

    /// What the test executables themselves are given.
    fn harness_arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = self.filter.iter().cloned().collect();
        if self.long {
            arguments.push("--include-ignored".to_owned());
        }
        arguments
    }
}

/// Builds the tests, runs them, and says what each took; returns the exit status.
///
/// # Errors
/// When set-up fails, cargo or a test executable cannot be started, or a signal interrupts us.
pub(crate) fn run(arguments: &TestArguments) -> Result<i32> {
    setup::ensure()?;
    let workspace = Workspace::find()?;
    let started = Instant::now();
    let reports = tempfile::tempdir().context("cannot make a folder for reports")?;
    let selection = Selection::new(
        &workspace,
        &arguments.package,
        &arguments.test,
        arguments.filter.is_some(),
    )?;
    let slots = Slots::choose(arguments.jobs)?;
    let durations_file = workspace
        .target
        .join("lab")
        .join(arguments.tier().durations());
    let mut durations = Durations::read(&durations_file);

    // Made before a build can replace this program's file.
    let documentation = documentation_tests(&workspace, &selection, arguments, reports.path())?;
    let mut unbuilt = Vec::new();
    let mut jobs = Vec::new();
    for build in selection.builds() {
        match executables::build(&workspace, build)? {
            Some(executables) => jobs.extend(
                executables
                    .into_iter()
                    .map(|executable| job(&workspace, executable, arguments, reports.path())),
            ),
            None => unbuilt.push(build.part),
        }
    }
    if !unbuilt.contains(&Part::InTheLab) {
        jobs.extend(documentation);
    }
    for job in &mut jobs {
        job.expected = durations.of(&job.name);
    }

    let mut output: Box<dyn Write> = if arguments.json {
        Box::new(std::io::stderr())
    } else {
        Box::new(std::io::stdout())
    };
    let runs = running::run(jobs, &slots, &mut output, interrupt::check)?;
    if arguments.is_complete() {
        durations.remember(&runs);
        durations.write(&durations_file)?;
    }
    let summary = Summary::new(
        arguments.tier(),
        runs,
        unbuilt,
        slots.count(),
        started.elapsed(),
    );
    if arguments.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        print!("{summary}");
    }
    Ok(i32::from(!summary.passed))
}

/// The job that runs an executable by `cargo lab runner`, in the environment that cargo would give it.
fn job(
    workspace: &Workspace,
    executable: TestExecutable,
    arguments: &TestArguments,
    reports: &Path,
) -> Job {
    let report = reports.join(executable.path.file_name().unwrap_or_default());
    // This very program, even when the build has replaced its file.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg("runner")
        .args(arguments.runner_options(&report))
        .arg("--")
        .arg(&executable.path)
        .args(arguments.harness_arguments());
    workspace.describe_package(&mut command, &executable.package);
    let (package, path) = (&executable.package, &executable.path);
    let processors = if workspace.runs_on_the_host(package, path) {
        usize::MAX
    } else {
        let asked_for = workspace.processors(package, path).max(arguments.cpus);
        usize::try_from(asked_for).unwrap_or(usize::MAX)
    };
    Job::new(
        executable.name,
        executable.part,
        processors,
        command,
        report,
    )
}

/// The job that has cargo build and run the documentation tests, if some are selected.
fn documentation_tests(
    workspace: &Workspace,
    selection: &Selection,
    arguments: &TestArguments,
    reports: &Path,
) -> Result<Option<Job>> {
    let Some(selected) = selection.documentation() else {
        return Ok(None);
    };
    let report = reports.join(DOCUMENTATION);
    let mut cargo = workspace::cargo();
    cargo
        .current_dir(&workspace.root)
        .args(["test", "--doc", "--no-fail-fast"])
        .args(selected);
    runner::use_for(&mut cargo, &arguments.runner_options(&report))?;
    cargo.args(&arguments.filter);
    let name = DOCUMENTATION.to_owned();
    Ok(Some(Job::new(name, Part::InTheLab, 1, cargo, report)))
}
