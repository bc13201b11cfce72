//! The hot path allocates nothing.
#![allow(missing_docs, clippy::unwrap_used)]

use allocation_counter::measure;
use dmashare_bench::{By, Machine, Opened, OperationKind, Size};

/// The allocations of ten steady runs, each waited for.
fn allocations(kind: OperationKind, size: Size) -> u64 {
    let machine = Machine::open().unwrap();
    let mut operation = kind
        .open(By::Dmashare, &machine, size)
        .and_then(Opened::into_operation)
        .unwrap();
    for _ in 0..10 {
        operation.prepare(1).unwrap();
        operation.run().unwrap();
        operation.settle().unwrap();
    }
    let mut count = 0;
    for _ in 0..10 {
        operation.prepare(1).unwrap();
        count += measure(|| operation.run().unwrap()).count_total;
        operation.settle().unwrap();
    }
    count
}

#[test]
fn a_known_buffer_takes_no_allocation() {
    assert_eq!(
        allocations(OperationKind::KnownBuffer, Size::new(256, 256)),
        0
    );
}

#[test]
fn a_steady_flip_takes_no_allocation() {
    assert_eq!(allocations(OperationKind::Flip, Size::new(1024, 768)), 0);
}

#[test]
fn a_steady_handoff_takes_no_allocation() {
    let size = Size::new(256, 256);
    assert_eq!(allocations(OperationKind::Handoff, size), 0);
}
