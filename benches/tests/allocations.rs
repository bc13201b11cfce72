//! The hot path allocates nothing.
#![allow(missing_docs, clippy::unwrap_used)]

use allocation_counter::measure;
use dmashare_bench::{By, Machine, Opened, OperationKind, Size};

/// The allocations of each of ten steady runs, each waited for.
fn allocations(kind: OperationKind, size: Size) -> [u64; 10] {
    let machine = Machine::open().unwrap();
    let mut operation = kind
        .open(By::Dmashare, &machine, size)
        .and_then(Opened::into_operation)
        .unwrap();
    let mut run = || {
        operation.prepare(1).unwrap();
        let count = measure(|| operation.run().unwrap()).count_total;
        operation.settle().unwrap();
        count
    };
    for _ in 0..10 {
        run();
    }
    [(); 10].map(|()| run())
}

#[test]
fn a_known_buffer_takes_no_allocation() {
    assert_eq!(
        allocations(OperationKind::KnownBuffer, Size::new(256, 256)),
        [0; 10]
    );
}

#[test]
fn a_steady_flip_takes_no_allocation() {
    let size = Size::new(1024, 768);
    assert_eq!(allocations(OperationKind::Flip, size), [0; 10]);
}

/// A fence that is pending when the other device submits becomes a semaphore, and the buffer's name is
/// kept meanwhile, twice, for the error that would name it. When the fence has signalled by then, there
/// is nothing to keep. Which it is, the scheduler decides; and so when the two lists of semaphores grow,
/// which they do once.
#[test]
fn a_steady_handoff_allocates_the_names_of_what_it_waits_for() {
    let counts = allocations(OperationKind::Handoff, Size::new(256, 256));
    let grown = counts.iter().filter(|count| !matches!(count, 0 | 2));
    assert!(grown.clone().count() <= 2, "{counts:?}");
    assert!(grown.clone().all(|count| *count <= 4), "{counts:?}");
}
