//! What a handoff allocates, which depends on who is first; the rest is in the table of counters.
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
