//! `cargo lab run`: one command in one guest; also what every other subcommand runs things with.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::guest::{Guest, GuestEnd, GuestReport};
use crate::guest_memory::MemorySize;
use crate::kernel_log;
use crate::request::{CommandEnd, Request, TerminalSize};
use crate::workspace::Workspace;
use crate::{environment, setup, validation};

/// Exit status of a run that the kernel, the validation layers or the lab itself failed.
pub(crate) const FAILED_BY_LAB: i32 = 125;
/// Exit status of a run that reached its time limit.
pub(crate) const TIMED_OUT: i32 = 124;

/// How a guest is made.
#[derive(Debug, Clone, Args)]
pub(crate) struct GuestOptions {
    /// The guest's memory, in mebibytes or gibibytes (512M, 4G)
    #[arg(long, default_value_t = MemorySize::DEFAULT, value_name = "SIZE")]
    pub(crate) mem: MemorySize,
    /// Processors; a guest with one stays on one of the host's, which is faster than two
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=8))]
    pub(crate) cpus: u32,
    /// End the run after this time, with exit status 124 and the kernel log
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// Displays, each a DRM device of its own (/sys/kernel/config/vkms/display0 and so on)
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=16))]
    pub(crate) displays: u32,
    /// Copy the kernel log to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) kernel_log: Option<PathBuf>,
    /// Set a variable for the command; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,
    /// Mount one more host folder at the same path; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) mount: Vec<PathBuf>,
    /// Load the Vulkan validation layers into every Vulkan program; a message fails the run
    #[arg(long)]
    pub(crate) validate: bool,
}

impl Default for GuestOptions {
    /// What the command line's defaults are, too.
    fn default() -> Self {
        Self {
            mem: MemorySize::DEFAULT,
            cpus: 1,
            timeout: None,
            displays: 1,
            kernel_log: None,
            env: Vec::new(),
            mount: Vec::new(),
            validate: false,
        }
    }
}

/// Arguments of `cargo lab run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) guest: GuestOptions,
    /// Build the workspace's own binary in release mode
    #[arg(long)]
    pub(crate) release: bool,
    /// The command; a name without a slash that is one of the workspace's binaries is built first
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .filter(|seconds: &f64| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("{text:?} is no positive number of seconds"))
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not NAME=VALUE")),
    }
}

/// What a command runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A person, or a script.
    Person,
    /// Cargo, which describes the package in the environment.
    Cargo,
    /// A person at this terminal, for an interactive command.
    Terminal(TerminalSize),
}

/// Runs `cargo lab run`; returns the exit status.
///
/// # Errors
/// When set-up, the build or the guest's start fails.
pub(crate) fn run(mut arguments: RunArguments) -> Result<i32> {
    let workspace = Workspace::find()?;
    if let Some(first) = arguments.command.first_mut() {
        let name = first.to_string_lossy().into_owned();
        if !name.contains('/')
            && let Some(binary) = workspace.build(&name, arguments.release)?
        {
            *first = binary.into_os_string();
        }
    }
    run_in_guest(
        &workspace,
        arguments.guest,
        arguments.command,
        Caller::Person,
        std::io::stdout(),
        std::io::stderr(),
    )
}

/// Runs `command` in a guest; its output goes to `stdout` and `stderr`. Returns the exit status after
/// having said on our standard error what failed, if the command itself could not.
///
/// # Errors
/// When set-up or the guest's start fails, or a signal interrupts us.
pub(crate) fn run_in_guest(
    workspace: &Workspace,
    options: GuestOptions,
    command: Vec<OsString>,
    caller: Caller,
    stdout: impl Write + Send + 'static,
    stderr: impl Write + Send + 'static,
) -> Result<i32> {
    let built = setup::ensure()?;
    let current = std::env::current_dir().context("the current folder is gone")?;
    let mounts = workspace.mounts(&current, &options.mount)?;
    let folder = if mounts.iter().any(|mount| current.starts_with(mount)) {
        current
    } else {
        workspace.root.clone()
    };
    let mut environment = environment::for_command(std::env::vars_os(), caller == Caller::Cargo);
    if options.validate {
        validation::switch_on(&mut environment);
    }
    let given = options.env.into_iter();
    environment.extend(given.map(|(name, value)| (name, value.into())));
    let guest = Guest {
        request: Request {
            command,
            folder,
            environment,
            terminal: match caller {
                Caller::Terminal(size) => Some(size),
                Caller::Person | Caller::Cargo => None,
            },
            validate: options.validate,
            displays: options.displays,
        },
        mounts,
        memory: options.mem,
        cpus: options.cpus,
        time_limit: options.timeout,
        kernel_log: options.kernel_log,
    };
    judge(guest.run(&built, stdout, stderr)?)
}

/// The run's exit status, after saying what the lab has to say.
fn judge(report: GuestReport) -> Result<i32> {
    let complaints = kernel_log::complaints(&report.kernel_log);
    let status = match report.end {
        GuestEnd::Command(end) => {
            if let CommandEnd::NotStarted(_, why) = &end {
                say(&format!("lab: {why}"));
            }
            end.exit_status()
        }
        GuestEnd::StillOn(end) => {
            show("the kernel log", kernel_log::after_boot(&report.kernel_log));
            say(&format!(
                "lab: failed by the kernel: it did not end when switched off (the command's own \
                 exit status is {})",
                end.exit_status()
            ));
            return Ok(FAILED_BY_LAB);
        }
        GuestEnd::TimedOut => {
            show("the kernel log", kernel_log::after_boot(&report.kernel_log));
            say("lab: the time limit was reached");
            return Ok(TIMED_OUT);
        }
        GuestEnd::Interrupted(interrupted) => return Err(interrupted.into()),
        // As if the pipe's signal had ended the command itself.
        GuestEnd::OutputClosed => 128 + 13,
        GuestEnd::KernelEnded(how) => {
            show("the kernel log", kernel_log::after_boot(&report.kernel_log));
            bail!("the guest's kernel ended before the command ({how})");
        }
    };
    let validation = report.validation.trim_end();
    if !validation.is_empty() {
        show("the Vulkan validation layers", &[validation.to_owned()]);
        say(&format!(
            "lab: failed by the Vulkan validation layers (the command's own exit status is {status})"
        ));
    }
    if !complaints.is_empty() {
        show("the kernel's complaints", &complaints);
        say(&format!(
            "lab: failed by the kernel (the command's own exit status is {status})"
        ));
    }
    if complaints.is_empty() && validation.is_empty() {
        Ok(status)
    } else {
        Ok(FAILED_BY_LAB)
    }
}

fn say(text: &str) {
    // Without a standard error, the exit status still says it.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn show(what: &str, lines: &[String]) {
    say(&format!("lab: ---- {what} ----"));
    for line in lines {
        say(line);
    }
    say("lab: ----");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_positive_numbers() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        for text in ["0", "-1", "x", "", "inf", "NaN"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn variables_have_a_name() {
        assert_eq!(variable("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert!(variable("=b").is_err());
        assert!(variable("A").is_err());
    }
}
