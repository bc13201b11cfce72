//! Each way to hand a frame over, to copy one, and each operation on fences runs, and leaves nothing.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dmashare_bench::{By, Machine, Opened, Operation, OperationKind, Suite, floor, other_process};

const PROGRAM: &str = env!("CARGO_BIN_EXE_operation");

/// Descriptors and other processes are the whole program's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(operation: &mut dyn Operation, times: usize) {
    for _ in 0..times {
        operation.prepare(1).unwrap();
        operation.run().unwrap();
        operation.settle().unwrap();
    }
}

/// The other process is the program `operation`: a test's own main function is not ours.
fn machine() -> Machine {
    other_process::start_as_other_process(PROGRAM.into());
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
    let all = OperationKind::all().iter().copied();
    all.filter(move |kind| suites.contains(&kind.suite()))
}

/// How many there are when the drivers' threads have closed what they are done with.
fn open_files() -> usize {
    let looks = (0..10).map(|_| {
        std::thread::sleep(Duration::from_millis(5));
        fs::read_dir("/proc/self/fd").unwrap().count()
    });
    looks.min().unwrap()
}

/// The processes that a process has started.
fn children(of: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let id = entry.unwrap().file_name().to_str()?.parse::<u32>().ok()?;
        // Some end meanwhile.
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (_, after_name) = stat.rsplit_once(") ")?;
        let parent = after_name.split(' ').nth(1)?;
        (parent == of.to_string()).then_some(id)
    });
    processes.collect()
}

fn is_there(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

#[test]
fn all_of_them_run_on_both_sides() {
    let _alone = alone();
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

/// A semaphore that has become a sync_file's and that no work waited for, because the fence had
/// signalled meanwhile, keeps the descriptor until it is used again. There are no more such semaphores
/// than frames; a run that left a descriptor open would leave 25.
#[test]
fn no_descriptor_is_left_open_by_a_run() {
    let _alone = alone();
    let machine = machine();
    for kind in kinds() {
        for &by in sides(kind) {
            let mut operation = open(kind, by, &machine);
            run(operation.as_mut(), 5);
            let after_five = open_files();
            run(operation.as_mut(), 25);
            let kept = open_files().saturating_sub(after_five);
            assert!(kept <= floor::handoff::FRAMES, "{kept}: {kind} by {by}");
        }
    }
}

#[test]
fn the_other_process_ends_with_the_operation() {
    let _alone = alone();
    let machine = machine();
    for by in [By::Dmashare, By::Floor] {
        let mut operation = open(OperationKind::HandoffProcesses, by, &machine);
        run(operation.as_mut(), 1);
        let children = children(std::process::id());
        assert_eq!(children.len(), 1, "by {by}");
        assert!(is_there(children[0]));
        drop(operation);
        assert!(!is_there(children[0]), "by {by}");
    }
}

#[test]
fn the_other_process_says_what_it_cannot_do() {
    let _alone = alone();
    // Without memory it can do nothing: the socket brings it a message of another kind.
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    ours.send(b"F\0").unwrap();
    let mut child = Command::new(PROGRAM)
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
    let _alone = alone();
    for by in ["dmashare", "floor"] {
        let mut parent = Command::new(PROGRAM)
            .args(["handoff_processes", "--times", "1000000", "--by", by])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let child = loop {
            if let Some(id) = children(parent.id()).first() {
                break *id;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "no other process"
            );
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
    }
}

#[test]
fn what_shares_copies_nothing() {
    use OperationKind::{Export, Import, KnownBuffer, KnownImport};

    let _alone = alone();
    let machine = machine();
    for kind in [Export, Import, KnownImport, KnownBuffer] {
        let mut operation = open(kind, By::Dmashare, &machine);
        assert_eq!(operation.bytes_copied(), None, "{kind} has not run");
        run(operation.as_mut(), 3);
        assert_eq!(operation.bytes_copied(), Some(0), "{kind}");
    }
}
