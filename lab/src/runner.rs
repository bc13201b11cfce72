//! `cargo lab runner`: what cargo starts test and bench executables with (its `target.….runner`).

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use crate::inherited_child;
use crate::run_command::{self, Caller, GuestOptions};
use crate::workspace::Workspace;

/// Arguments of `cargo lab runner`.
#[derive(Debug, Args)]
pub(crate) struct RunnerArguments {
    #[command(flatten)]
    guest: GuestOptions,
    /// Measure: the kernel's lock checking is off
    #[arg(long)]
    bench: bool,
    /// Add a line to this file: the processor time that the run took, in seconds
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// The executable and its arguments
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

/// Runs an executable that cargo built in a guest of its own, or outside if its package says so;
/// returns the exit status.
///
/// # Errors
/// When the guest cannot be started or the report not written.
pub(crate) fn run(arguments: RunnerArguments) -> Result<i32> {
    let mut command = arguments.command;
    let executable = match command.first_mut() {
        Some(first) => {
            let path = Path::new(first)
                .canonicalize()
                .with_context(|| format!("cannot find {}", first.display()))?;
            *first = path.clone().into_os_string();
            path
        }
        None => bail!("the runner was given no executable"),
    };
    let workspace = Workspace::find()?;
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
    if workspace.runs_on_the_host(&package, &executable) {
        let mut outside = Command::new(&executable);
        outside.args(command.iter().skip(1));
        let status = inherited_child::run(&mut outside)?.code().unwrap_or(1);
        add_to_report(arguments.report.as_deref())?;
        return Ok(status);
    }
    if arguments.bench {
        // Lock checking makes every system call slower by the same amount, for both sides of a
        // comparison: that would hide differences.
        let quiet = "echo 0 > /proc/sys/kernel/prove_locking; exec \"$0\" \"$@\"";
        command.splice(0..0, ["sh", "-c", quiet].map(OsString::from));
    }
    let mut guest = arguments.guest;
    guest.cpus = guest.cpus.max(workspace.processors(&package, &executable));
    // Documentation tests are built in folders for temporary files.
    guest.mount.extend(executable.parent().map(Path::to_owned));
    let status = run_command::run_in_guest(
        &workspace,
        guest,
        command,
        Caller::Cargo,
        std::io::stdout(),
        std::io::stderr(),
    )?;
    add_to_report(arguments.report.as_deref())?;
    Ok(status)
}

/// Adds the processor time of the children that have ended: the guest's kernel with all of its
/// processes, or the executable itself.
fn add_to_report(report: Option<&Path>) -> Result<()> {
    let Some(report) = report else {
        return Ok(());
    };
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("cannot measure the run")?;
    let used = usage.user_time() + usage.system_time();
    let microseconds = u64::try_from(used.num_microseconds())?;
    let seconds = Duration::from_micros(microseconds).as_secs_f64();
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(report)
        .and_then(|mut file| writeln!(file, "{seconds}"))
        .with_context(|| format!("cannot write {}", report.display()))
}

/// The processor time that the runs which wrote this report took together.
pub(crate) fn processor_time(report: &Path) -> Duration {
    let lines = fs::read_to_string(report).unwrap_or_default();
    let seconds = lines.lines().filter_map(|line| line.parse::<f64>().ok());
    Duration::try_from_secs_f64(seconds.sum()).unwrap_or_default()
}

/// Makes `cargo` start every executable with `cargo lab runner OPTIONS`.
///
/// # Errors
/// When the compiler does not say which target it builds for.
pub(crate) fn use_for(cargo: &mut Command, options: &[String]) -> Result<()> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut words = vec![program.display().to_string(), "runner".to_owned()];
    words.extend_from_slice(options);
    words.push("--".to_owned());
    // A TOML array of strings reads like a JSON one.
    let words = serde_json::to_string(&words)?;
    // The second is for a configuration that builds for another target, such as musl's; the first
    // wins over any other runner that is configured for this one.
    for target in [host_target()?, r#"'cfg(target_os = "linux")'"#.to_owned()] {
        cargo.args(["--config", &format!("target.{target}.runner={words}")]);
    }
    Ok(())
}

/// The target that cargo builds for when none is named.
fn host_target() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .arg("-vV")
        .output()
        .context("cannot run rustc -vV")?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc -vV names no host")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_given_this_program_as_runner() {
        let mut cargo = Command::new("cargo");
        use_for(&mut cargo, &["--displays".to_owned(), "3".to_owned()]).unwrap();
        let arguments: Vec<_> = cargo.get_args().map(|a| a.to_string_lossy()).collect();
        assert_eq!(arguments[0], "--config");
        for runner in [&arguments[1], &arguments[3]] {
            assert!(runner.starts_with("target."), "{arguments:?}");
            assert!(runner.ends_with("\"runner\",\"--displays\",\"3\",\"--\"]"));
        }
    }
}
