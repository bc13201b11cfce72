//! Moves of host memory while each of the kernel's allocations fails in turn.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::cell::RefCell;

use dmashare::host::HostMemory;
use dmashare::{
    Access, AccessConstraint, BufferState, CpuAccess, Placement, Placements, SharedBuffer,
};
use dmashare_lab_probe::{bufinfo, for_each_failing_allocation, open_files};

/// A buffer in a dma-heap, with content.
fn buffer() -> SharedBuffer {
    let exporter = HostMemory::new(Some(support::heap()), Some(support::udmabuf()));
    let anything = AccessConstraint::default();
    let buffer = SharedBuffer::new_dynamic(&exporter, support::desc("moved"), &anything).unwrap();
    let mut access = CpuAccess::begin(buffer.backing().dmabuf(), Access::Write).unwrap();
    for row in 0..32 {
        access
            .write_row(0, row, &[u8::try_from(row).unwrap() + 1; 256])
            .unwrap();
    }
    drop(access);
    buffer
}

fn assert_content(buffer: &SharedBuffer) {
    let access = CpuAccess::begin(buffer.backing().dmabuf(), Access::Read).unwrap();
    for row in 0..32 {
        let mut bytes = [0; 256];
        access.read_row(0, row, &mut bytes).unwrap();
        assert_eq!(bytes, [u8::try_from(row).unwrap() + 1; 256], "row {row}");
    }
}

/// One test in its file: it compares what the whole process has open.
#[test]
fn i13_a_move_whose_allocations_fail_leaves_the_buffer_and_nothing_else() {
    // Every static of the crate is there.
    drop(
        buffer()
            .move_to(&AccessConstraint::placements(Placements::SHMEM))
            .unwrap(),
    );
    let before = (open_files().len(), bufinfo().len());
    let moving = RefCell::new(buffer());
    let (mut refused, mut moved) = (0_u32, 0_u32);
    let operation = || {
        let shmem = AccessConstraint::placements(Placements::SHMEM);
        moving.borrow().move_to(&shmem).map(|_| ())
    };
    let failed = for_each_failing_allocation(operation, |nth, result| {
        let report = moving.borrow().report();
        let expected = if result.is_ok() {
            Placement::Shmem
        } else {
            Placement::Host
        };
        assert_eq!(
            (report.placement, report.state),
            (expected, BufferState::Resident),
            "{nth}"
        );
        assert_content(&moving.borrow());
        moving.borrow().dispatch();
        assert_eq!(moving.borrow().report().old_backings, [], "{nth}");
        refused += u32::from(result.is_err());
        moved += u32::from(result.is_ok());
        moving.replace(buffer());
        let now = (open_files().len(), bufinfo().len());
        // The new buffer's dma-buf, and its exporter's two devices.
        assert_eq!(now, (before.0 + 3, before.1 + 1), "{nth}");
    });
    assert!(
        failed > 5 && refused > 5 && moved > 0,
        "{failed} failed, {refused} refused"
    );
    drop(moving);
    assert_eq!((open_files().len(), bufinfo().len()), before);
}
