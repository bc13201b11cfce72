//! The system calls of operations, as strace sees them.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::calls::{Calls, Steady, WARM_UP};
use super::program;

/// What memory and threads of the process itself take, which differs from run to run, and the clock,
/// which is a system call under user-mode Linux only.
const OF_THE_PROCESS: [&str; 8] = [
    "brk",
    "clock_gettime",
    "madvise",
    "mprotect",
    "mremap",
    "munmap",
    "restart_syscall",
    "sched_yield",
];

/// A wake-up for which nobody waited. One that is made for no good reason is made in every run; one
/// that came too late is not. Other futex calls are as many as the threads happen to meet.
pub(super) const WAKES_NOBODY: &str = "futex FUTEX_WAKE of nobody";

/// What a program did, as lines of strace. Only the thread counts that leaves the marks: neither the
/// library nor its floor has others, but drivers do.
#[derive(Debug)]
pub(super) struct Trace(Vec<String>);

impl Trace {
    /// Runs the program `operation` under strace.
    pub(super) fn of(operation: &[OsString], runs: usize) -> Result<Self> {
        let folder = tempfile::tempdir().context("no folder for strace's files")?;
        let mut strace = Command::new("strace");
        strace
            .arg("-ff")
            .arg("-o")
            .arg(folder.path().join("trace"))
            .args(operation)
            .args(["--times", &(WARM_UP + runs).to_string()]);
        program::output(&mut strace).map_err(|error| match error.downcast_ref::<io::Error>() {
            Some(missing) if missing.kind() == io::ErrorKind::NotFound => {
                error.context("strace is needed; the lab's guest has it")
            }
            _ => error,
        })?;
        for entry in fs::read_dir(folder.path())? {
            // Strings in a trace may hold any bytes.
            let bytes = fs::read(entry?.path())?;
            let text = String::from_utf8_lossy(&bytes);
            if text.contains("/run-begins") {
                return Ok(Self(text.lines().map(str::to_owned).collect()));
            }
        }
        bail!("no thread left a mark");
    }

    /// The calls of the steady runs between the marks `begin` and `end`.
    pub(super) fn steady(&self, begin: &str, end: &str, runs: usize) -> Result<Steady> {
        let sections = sections(&self.0, begin, end);
        let found = sections.len();
        ensure!(
            found == WARM_UP + runs,
            "there are {found} runs between {begin} and {end}"
        );
        let calls: Vec<_> = sections.into_iter().skip(WARM_UP).map(count).collect();
        let mut steady = Steady::of(&calls);
        steady.differs.retain(|name| name != WAKES_NOBODY);
        Ok(steady)
    }
}

/// What is between each line with `begin` and the next one with `end`.
fn sections<'a>(lines: &'a [String], begin: &str, end: &str) -> Vec<&'a [String]> {
    let begins = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.contains(begin));
    let sections = begins.filter_map(|(first, _)| {
        let rest = &lines[first + 1..];
        let length = rest.iter().position(|line| line.contains(end))?;
        Some(&rest[..length])
    });
    sections.collect()
}

fn count(lines: &[String]) -> Calls {
    let mut calls = Calls::new();
    for call in lines.iter().filter_map(|line| call(line)) {
        *calls.entry(call).or_insert(0) += 1;
    }
    calls
}

/// `ioctl(18, DRM_IOCTL_MODE_ATOMIC, 0x7f) = 0` is "ioctl DRM_IOCTL_MODE_ATOMIC"; `None` for a call
/// that only concerns the process itself, and for a line that is no call.
fn call(line: &str) -> Option<String> {
    let (name, arguments) = line.split_once('(')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.chars().all(is_name) || OF_THE_PROCESS.contains(&name) {
        return None;
    }
    let argument = |index: usize| {
        let argument = arguments.split(',').nth(index).unwrap_or_default();
        let end = argument.find(')').unwrap_or(argument.len());
        argument[..end].trim().to_owned()
    };
    match name {
        // The standard library asserts, in debug builds, that what it closes is open.
        "fcntl" if argument(1) == "F_GETFD" => None,
        "futex" if arguments.contains("FUTEX_WAKE") && line.ends_with("= 0") => {
            Some(WAKES_NOBODY.to_owned())
        }
        "futex" => None,
        "mmap" if arguments.contains("MAP_ANONYMOUS") => None,
        "ioctl" | "fcntl" => Some(format!("{name} {}", argument(1))),
        "lseek" => Some(format!("{name} {}", argument(2))),
        _ => Some(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_strace_are_understood() {
        let known = [
            (
                "ioctl(18, DRM_IOCTL_MODE_ATOMIC, 0x7f) = 0",
                Some("ioctl DRM_IOCTL_MODE_ATOMIC"),
            ),
            (
                "lseek(18, 0, SEEK_END)                  = 262144",
                Some("lseek SEEK_END"),
            ),
            ("fcntl(14, F_GETFD) = 1", None),
            (
                "fcntl(14, F_DUPFD_CLOEXEC, 3) = 15",
                Some("fcntl F_DUPFD_CLOEXEC"),
            ),
            ("close(7) = 0", Some("close")),
            ("futex(0x55, FUTEX_WAKE_PRIVATE, 1) = 1", None),
            (
                "futex(0x55, FUTEX_WAKE_PRIVATE, 2147483647) = 0",
                Some(WAKES_NOBODY),
            ),
            (
                "mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x4b",
                None,
            ),
            (
                "mmap(NULL, 4096, PROT_READ, MAP_SHARED, 13, 0) = 0x4b",
                Some("mmap"),
            ),
            ("--- SIGCHLD {si_signo=SIGCHLD} ---", None),
            ("+++ exited with 0 +++", None),
        ];
        for (line, expected) in known {
            assert_eq!(call(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn what_is_between_two_marks_is_one_run() {
        let lines = [
            r#"access("/flip/floor/run-begins", F_OK) = -1 ENOENT"#,
            "ioctl(3, DRM_IOCTL_MODE_ATOMIC, 0x7f) = 0",
            r#"access("/flip/floor/run-ends", F_OK) = -1 ENOENT"#,
            "close(4) = 0",
            r#"access("/flip/floor/run-settled", F_OK) = -1 ENOENT"#,
        ];
        let trace = Trace(
            (0..=WARM_UP)
                .flat_map(|_| lines.map(str::to_owned))
                .collect(),
        );
        let flip = |begin, end| trace.steady(begin, end, 1);
        let run = flip("/flip/floor/run-begins", "/flip/floor/run-ends").unwrap();
        assert_eq!(
            run.calls,
            Calls::from([("ioctl DRM_IOCTL_MODE_ATOMIC".to_owned(), 1)])
        );
        let settled = flip("/flip/floor/run-ends", "/flip/floor/run-settled").unwrap();
        assert_eq!(settled.calls, Calls::from([("close".to_owned(), 1)]));
        assert!(flip("/flip/dmashare/run-begins", "/flip/dmashare/run-ends").is_err());
    }
}
