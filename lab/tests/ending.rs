//! However a run ends, it ends in time and leaves no process and no file behind.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lab_program;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use lab_program::{expect_status, lab, processes_naming, run_script, stderr, stdout};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A run that sleeps, its state below `folder`; returns once the command runs.
fn sleeping(folder: &Path) -> Child {
    let mut child = lab(&["run", "--", "sh", "-c", "echo running; sleep 1000"])
        .env("TMPDIR", folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "running\n");
    assert!(!processes_naming(folder).is_empty());
    child
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

/// Fails unless every process that names `folder` has gone within a second.
#[track_caller]
fn expect_no_process(folder: &Path) {
    let asked = Instant::now();
    while !processes_naming(folder).is_empty() {
        assert!(
            asked.elapsed() < Duration::from_secs(1),
            "{:?}",
            processes_naming(folder)
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_hang_ends_at_the_time_limit_with_the_kernel_log() {
    let started = Instant::now();
    let output = run_script(
        &["--timeout", "3"],
        "echo before; echo marker > /dev/kmsg; sleep 1000",
    );
    expect_status(&output, 124);
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(stdout(&output), "before\n");
    let said = stderr(&output);
    assert!(said.contains("time limit"), "{said}");
    assert!(said.contains("marker"), "{said}");
    assert!(said.contains("Show Blocked State"), "{said}");
}

#[test]
fn a_kernel_that_does_not_end_when_switched_off_fails_the_run() {
    // The command answers in the agent's place, as if the agent had switched the guest off.
    let output = run_script(
        &[],
        "echo '{\"exited\":0}' > /run/dmashare-lab/status.json; echo answered; sleep 1000",
    );
    expect_status(&output, 125);
    assert_eq!(stdout(&output), "answered\n");
    let said = stderr(&output);
    assert!(said.contains("did not end when switched off"), "{said}");
    assert!(said.contains("Show Blocked State"), "{said}");
}

#[test]
fn interrupts_leave_no_process_and_no_file() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = sleeping(folder.path());
        send(&child, signal);
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(128 + signal as i32), "{signal}");
        expect_no_process(folder.path());
        let left: Vec<_> = folder.path().read_dir().unwrap().collect();
        assert!(left.is_empty(), "{signal}: {left:?}");
    }
}

#[test]
fn the_kernel_does_not_outlive_a_lab_that_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = sleeping(folder.path());
    send(&child, Signal::SIGKILL);
    child.wait().unwrap();
    expect_no_process(folder.path());
}

#[test]
fn a_run_whose_output_nobody_reads_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = lab(&["run", "--", "yes"])
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(128 + 13));
    expect_no_process(folder.path());
}

#[test]
fn overlapping_runs_do_not_disturb_each_other() {
    let script = |name: &str| {
        format!(
            "echo {name} > /tmp/name; echo {name} > /etc/name; sleep 1; cat /tmp/name /etc/name; \
             ls /sys/kernel/config/vkms | wc -l"
        )
    };
    std::thread::scope(|scope| {
        let one = scope.spawn(|| run_script(&["--displays", "1"], &script("one")));
        let two = scope.spawn(|| run_script(&["--displays", "2"], &script("two")));
        let (one, two) = (one.join().unwrap(), two.join().unwrap());
        expect_status(&one, 0);
        expect_status(&two, 0);
        assert_eq!(stdout(&one), "one\none\n1\n");
        assert_eq!(stdout(&two), "two\ntwo\n2\n");
    });
    // And nothing of them is left for the next.
    expect_status(&run_script(&[], "test ! -e /etc/name"), 0);
}
