//! The lab's program, as the tests run it.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// `cargo lab` with these arguments.
pub(crate) fn lab(arguments: &[&str]) -> Command {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_dmashare-lab"));
    lab.args(arguments).stdin(Stdio::null());
    lab
}

/// Runs `cargo lab run OPTIONS -- sh -c SCRIPT` to its end.
pub(crate) fn run_script(options: &[&str], script: &str) -> Output {
    let mut arguments = vec!["run"];
    if !options.contains(&"--timeout") {
        arguments.extend(["--timeout", "60"]);
    }
    arguments.extend(options);
    arguments.extend(["--", "sh", "-c", script]);
    lab(&arguments).output().unwrap()
}

/// Runs `command` with `input` as its standard input.
pub(crate) fn with_input(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    })
}

/// Standard output as text.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard error as text.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Fails with everything that the run said unless it ended with `status`.
#[track_caller]
pub(crate) fn expect_status(output: &Output, status: i32) {
    assert_eq!(
        output.status.code(),
        Some(status),
        "stdout:\n{}\nstderr:\n{}",
        String::from_utf8_lossy(&output.stdout),
        stderr(output)
    );
}

/// The command lines of all processes that name `folder`.
pub(crate) fn processes_naming(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.unwrap().path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(folder))
        .collect()
}
