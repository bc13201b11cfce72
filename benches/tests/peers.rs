//! What the peers do in the lab, and what they cannot do.
//!
//! The table says for whom each operation is ready: a peer that stops working fails here, and so does
//! one that comes to do more.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dmashare_bench::{By, Machine, Opened, Operation, OperationKind, Size};

/// The operations that are measured beside peers, with those who do them. To the others belongs a
/// reason.
const READY: [(OperationKind, &[By]); 7] = [
    (OperationKind::Export, &[By::Smithay, By::Gbm]),
    (OperationKind::Import, &By::PEERS),
    (OperationKind::KnownImport, &[By::Smithay]),
    (OperationKind::Framebuffer, &[By::Smithay, By::Gbm]),
    (OperationKind::KnownFramebuffer, &[]),
    (OperationKind::Flip, &[By::Smithay]),
    (OperationKind::KnownBuffer, &[]),
];

/// One test at a time: they count what the process holds, and set the one display.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn size_of(kind: OperationKind, machine: &Machine) -> Size {
    match kind {
        OperationKind::Flip => kind.sizes(machine).unwrap()[0].size(),
        _ => Size::new(256, 256),
    }
}

fn run(operation: &mut dyn Operation, times: usize) {
    for _ in 0..times {
        operation.prepare(1).unwrap();
        operation.run().unwrap();
        operation.settle().unwrap();
    }
}

/// How many files the process has open, and how many dma-bufs mapped.
fn held() -> (usize, usize) {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    (open, maps.matches("/dmabuf:").count())
}

#[test]
fn who_does_an_operation_leaves_nothing_behind() {
    let _turn = turn();
    let machine = Machine::open().unwrap();
    for (kind, who) in READY {
        let size = size_of(kind, &machine);
        for by in By::PEERS {
            let what = format!("{kind} by {by}");
            match kind.open(by, &machine, size) {
                Ok(Opened::Ready(mut operation)) => {
                    assert!(who.contains(&by), "{what} is not in the table");
                    run(operation.as_mut(), 5);
                    let before = held();
                    run(operation.as_mut(), 45);
                    // A driver's threads let go a moment later. What is left behind stays.
                    for _ in 0..100 {
                        if held() == before {
                            break;
                        }
                        std::thread::sleep(Duration::from_millis(10));
                        run(operation.as_mut(), 1);
                    }
                    assert_eq!(held(), before, "{what} has left files or mappings");
                }
                Ok(Opened::Absent(reason)) => {
                    assert!(!who.contains(&by), "{what}: {reason}");
                    assert!(!reason.is_empty() && !reason.ends_with('.'), "{what}");
                }
                Err(error) => panic!("{what}: {error:?}"),
            }
        }
    }
}

/// What is measured in turns with a peer goes on while the peer is there, and after it.
#[test]
fn a_display_is_shared_in_turns() {
    let _turn = turn();
    let machine = Machine::open().unwrap();
    let kind = OperationKind::Flip;
    let size = size_of(kind, &machine);
    for _ in 0..2 {
        let open = |by| kind.open(by, &machine, size).unwrap().into_operation();
        let mut smithay = open(By::Smithay).unwrap();
        let mut dmashare = open(By::Dmashare).unwrap();
        for _ in 0..3 {
            run(smithay.as_mut(), 2);
            run(dmashare.as_mut(), 2);
        }
        drop(smithay);
        run(dmashare.as_mut(), 2);
    }
}
