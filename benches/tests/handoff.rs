//! Each way to hand a frame over, to copy one, and each operation on fences runs, and leaves nothing.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use dmashare_bench::{By, Machine, Opened, Operation, OperationKind, Suite, other_process};

fn run(operation: &mut dyn Operation, times: usize) {
    for _ in 0..times {
        operation.prepare(1).unwrap();
        operation.run().unwrap();
        operation.settle().unwrap();
    }
}

/// The other process is the program `operation`: a test's own main function is not ours.
fn machine() -> Machine {
    other_process::start_as_other_process(env!("CARGO_BIN_EXE_operation").into());
    Machine::open().unwrap()
}

fn open(kind: OperationKind, by: By, machine: &Machine) -> Box<dyn Operation> {
    let sizes = kind.sizes(machine).unwrap();
    kind.open(by, machine, sizes[0])
        .and_then(Opened::into_operation)
        .unwrap_or_else(|error| panic!("{kind} by {by}: {error:#}"))
}

/// What runs on both sides, or on the only one.
fn sides(kind: OperationKind) -> &'static [By] {
    match kind.suite() {
        Suite::Copy => &[By::Floor],
        _ => &[By::Dmashare, By::Floor],
    }
}

fn kinds() -> impl Iterator<Item = OperationKind> {
    let suites = [Suite::Handoff, Suite::Copy, Suite::Fences];
    OperationKind::ALL
        .into_iter()
        .filter(move |kind| suites.contains(&kind.suite()))
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The processes that this thread has started: each test has a thread of its own.
fn children() -> Vec<u32> {
    let text = fs::read_to_string("/proc/thread-self/children").unwrap();
    let ids = text.split_whitespace();
    ids.map(|id| id.parse().unwrap()).collect()
}

fn is_there(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

#[test]
fn all_of_them_run_on_both_sides() {
    let machine = machine();
    for kind in kinds() {
        for &by in sides(kind) {
            let mut operation = open(kind, by, &machine);
            run(operation.as_mut(), 3);
            let copied = operation.bytes_copied();
            match kind.suite() {
                Suite::Handoff => assert_eq!(copied, Some(0), "{kind} by {by}"),
                Suite::Copy => assert!(copied >= Some(256 * 256 * 4), "{kind} by {by}"),
                _ => assert_eq!(copied, None, "{kind} by {by}"),
            }
        }
    }
}

#[test]
fn no_descriptor_is_left_open_by_a_run() {
    let machine = machine();
    for kind in kinds() {
        for &by in sides(kind) {
            let mut operation = open(kind, by, &machine);
            run(operation.as_mut(), 5);
            let after_five = open_files();
            run(operation.as_mut(), 25);
            assert_eq!(open_files(), after_five, "{kind} by {by}");
        }
    }
}

#[test]
fn the_other_process_ends_with_the_operation() {
    let machine = machine();
    for by in [By::Dmashare, By::Floor] {
        let mut operation = open(OperationKind::HandoffProcesses, by, &machine);
        run(operation.as_mut(), 1);
        let children = children();
        assert_eq!(children.len(), 1, "by {by}");
        assert!(is_there(children[0]));
        drop(operation);
        assert!(!is_there(children[0]), "by {by}");
    }
}

#[test]
fn the_other_process_says_what_it_cannot_do() {
    use std::os::fd::OwnedFd;
    use std::process::{Command, Stdio};

    // Without memory it can do nothing: the socket brings it a message of another kind.
    let (ours, theirs) = std::os::unix::net::UnixDatagram::pair().unwrap();
    ours.send(b"F\0").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_operation"))
        .env("DMASHARE_BENCH_OTHER_PROCESS", "floor")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .unwrap();
    let mut text = [0; 4096];
    let length = ours.recv(&mut text).unwrap();
    let text = String::from_utf8_lossy(&text[..length]);
    assert_eq!(text, "Ethe first message was not of memory");
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_other_process_ends_when_this_one_is_killed() {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    for by in ["dmashare", "floor"] {
        let mut parent = Command::new(env!("CARGO_BIN_EXE_operation"))
            .args(["handoff_processes", "--times", "1000000", "--by", by])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let path = format!("/proc/{0}/task/{0}/children", parent.id());
        let begun = Instant::now();
        let child = loop {
            let text = fs::read_to_string(&path).unwrap();
            if let Some(id) = text.split_whitespace().next() {
                break id.parse().unwrap();
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "no other process");
            std::thread::sleep(Duration::from_millis(20));
        };
        parent.kill().unwrap();
        parent.wait().unwrap();
        let killed = Instant::now();
        // Whoever inherits it may leave it as a zombie, which is over.
        let is_over = || {
            fs::read_to_string(format!("/proc/{child}/stat"))
                .map_or(true, |stat| stat.contains(") Z "))
        };
        while !is_over() {
            assert!(killed.elapsed() < Duration::from_secs(60), "{child} stays");
            std::thread::sleep(Duration::from_millis(20));
        }
        let _: u32 = child;
    }
}
