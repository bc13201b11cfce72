//! The system calls of one side of an operation, as strace sees them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use dmashare_bench::{By, OperationKind};

/// How often each system call is made, by name; for ioctl, fcntl and lseek with what they are asked.
pub(crate) type Calls = BTreeMap<String, i64>;

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
pub(crate) const WAKES_NOBODY: &str = "futex FUTEX_WAKE of nobody";

const RUNS: usize = 10;

/// The calls of a steady run of one side of an operation.
pub(crate) fn run(kind: OperationKind, by: By) -> Calls {
    steady(
        &format!("/{kind}/{by}/run-begins"),
        &format!("/{kind}/{by}/run-ends"),
    )
}

/// The calls of waiting for what such a run has started.
pub(crate) fn settle(kind: OperationKind, by: By) -> Calls {
    steady(
        &format!("/{kind}/{by}/run-ends"),
        &format!("/{kind}/{by}/run-settled"),
    )
}

fn steady(begin: &str, end: &str) -> Calls {
    // All tests read one trace: starting a Vulkan driver under strace takes longer than the rest.
    static LINES: LazyLock<Vec<String>> = LazyLock::new(trace);
    // The first run may load and set up what later ones find.
    let mut runs: Vec<Calls> = sections(&LINES, begin, end).map(count).skip(1).collect();
    assert_eq!(runs.len() + 1, RUNS, "between {begin} and {end}");
    let wakes = runs
        .iter_mut()
        .map(|run| run.remove(WAKES_NOBODY).unwrap_or(0));
    let wakes = wakes.min().unwrap_or(0);
    assert!(
        runs.iter().all(|run| *run == runs[0]),
        "what is between {begin} and {end} differs from run to run: {runs:#?}"
    );
    let mut run = runs.swap_remove(0);
    if wakes > 0 {
        run.insert(WAKES_NOBODY.to_owned(), wakes);
    }
    run
}

/// Runs all operations under strace. Only the calling thread counts: neither side has threads, but
/// drivers do.
fn trace() -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("strace")
        .arg("-ff")
        .arg("-o")
        .arg(folder.path().join("trace"))
        .arg(env!("CARGO_BIN_EXE_operation"))
        .args(["--times", &RUNS.to_string()])
        .output()
        .expect("strace is needed; `cargo lab test` has it");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    main_thread(folder.path())
}

/// The lines of the thread that leaves the marks.
fn main_thread(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            // Strings in a trace may hold any bytes.
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        })
        .find(|text| text.contains("/run-begins"))
        .expect("no thread left a mark")
        .lines()
        .map(str::to_owned)
        .collect()
}

/// What is between each line with `begin` and the next one with `end`.
fn sections<'a>(
    lines: &'a [String],
    begin: &'a str,
    end: &'a str,
) -> impl Iterator<Item = &'a [String]> {
    let begins = lines
        .iter()
        .enumerate()
        .filter(move |(_, line)| line.contains(begin));
    begins.map(move |(first, _)| {
        let rest = &lines[first + 1..];
        let length = rest.iter().position(|line| line.contains(end)).unwrap();
        &rest[..length]
    })
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
