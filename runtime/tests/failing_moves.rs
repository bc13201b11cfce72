//! Moves that fail at each of their steps: the buffer is where it was, with its content.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use dmashare::{
    Access, AccessConstraint, BufferState, FenceError, FenceStatus, MoveError, Placement,
    Placements, SharedBuffer, SoftwareTimeline, Submission, SubmitError,
};
use support::device::{Calls, Device};
use support::fake_exporter::{FakeExporter, Step, memory_of};

const CONTENT: u64 = 77;

fn to(placements: Placements) -> AccessConstraint {
    AccessConstraint::placements(placements)
}

fn movable() -> (SharedBuffer, FakeExporter) {
    let exporter = FakeExporter::new(Placements::HOST | Placements::SHMEM);
    let anything = AccessConstraint::default();
    let buffer = SharedBuffer::new_dynamic(&exporter, support::desc("moved"), &anything);
    let buffer = buffer.unwrap();
    memory_of(&buffer.backing()).content.store(CONTENT, SeqCst);
    (buffer, exporter)
}

fn assert_at_home(buffer: &SharedBuffer, exporter: &FakeExporter) {
    let report = buffer.report();
    assert_eq!(
        (report.placement, report.state),
        (Placement::Host, BufferState::Resident)
    );
    assert_eq!(memory_of(&buffer.backing()).content.load(SeqCst), CONTENT);
    assert_eq!(buffer.ready(Access::Write).status(), FenceStatus::Signalled);
    exporter.assert_no_faults();
}

#[test]
fn i13_a_move_that_gets_no_memory_disturbs_nobody() {
    for step in [Step::Placements, Step::Allocate] {
        let (buffer, exporter) = movable();
        let calls = Calls::default();
        let attachment = buffer
            .attach_dynamic(&Device::anywhere("gpu"), calls.clone())
            .unwrap();
        let mapping = attachment.map().unwrap();
        exporter.fail(step, 0);
        let moved = buffer.move_to(&to(Placements::SHMEM));
        assert!(matches!(moved, Err(MoveError::Export { .. })), "{moved:?}");
        assert!(exporter.stop_failing(), "{step:?} was not reached");
        assert_eq!((calls.count(), mapping.is_stale()), (0, false));
        assert_eq!(exporter.live().len(), 1);
        assert_at_home(&buffer, &exporter);
        buffer.move_to(&to(Placements::SHMEM)).unwrap();
    }
}

#[test]
fn a_place_that_is_not_offered_is_refused_by_name() {
    let (buffer, exporter) = movable();
    let moved = buffer.move_to(&to(Placements::DEVICE));
    assert!(
        matches!(moved, Err(MoveError::NoPlacement { .. })),
        "{moved:?}"
    );
    assert_at_home(&buffer, &exporter);
}

#[test]
fn where_one_place_fails_the_next_is_taken() {
    let exporter = FakeExporter::with_all_places();
    let host = to(Placements::HOST);
    let buffer = SharedBuffer::new_dynamic(&exporter, support::desc("moved"), &host).unwrap();
    exporter.fail(Step::Allocate, 0);
    buffer
        .move_to(&to(Placements::DEVICE | Placements::SHMEM))
        .unwrap();
    assert_eq!(buffer.backing().placement(), Placement::Shmem);
}

#[test]
fn i3_a_copy_that_fails_is_undone_as_a_new_generation() {
    let (buffer, exporter) = movable();
    let calls = Calls::default();
    let attachment = buffer
        .attach_dynamic(&Device::anywhere("gpu"), calls.clone())
        .unwrap();
    let mapping = attachment.map().unwrap();
    exporter.fail(Step::Copy, 0);
    let moved = buffer.move_to(&to(Placements::SHMEM));
    assert!(matches!(moved, Err(MoveError::Copy { .. })), "{moved:?}");
    assert_eq!(buffer.backing().generation().as_u64(), 3);
    assert_at_home(&buffer, &exporter);
    // Its importer was told once, of what it had mapped.
    assert_eq!(calls.generations(), [1]);
    let begun = Submission::begin([mapping.read()]).map(|_| ());
    assert!(matches!(begun, Err(SubmitError::Stale { .. })), "{begun:?}");
    drop(mapping);
    drop(Submission::begin([attachment.map().unwrap().read()]).unwrap());
    buffer.dispatch();
    assert_eq!(exporter.live().len(), 1);
}

#[test]
fn a_copy_that_fails_later_ends_the_moves_fence_in_an_error() {
    let (buffer, exporter) = movable();
    let gpu = SoftwareTimeline::new("gpu");
    buffer.add_fence(Access::Write, gpu.fence(1)).unwrap();
    let moved = buffer.move_to(&to(Placements::SHMEM)).unwrap();
    let calls = Calls::default();
    let attachment = buffer.attach_dynamic(&Device::anywhere("gpu"), calls.clone());
    assert!(attachment.is_err(), "not while it moves");
    // Whoever waits for the content of the new memory must learn that it never came.
    let waits = buffer.ready(Access::Read);
    gpu.signal(1);
    exporter.fail(Step::Copy, 0);
    let waited = moved.wait(Duration::from_secs(1));
    assert!(
        matches!(waited, Err(FenceError::Failed { .. })),
        "{waited:?}"
    );
    assert!(matches!(waits.status(), FenceStatus::Failed(_)));
    assert_at_home(&buffer, &exporter);
    buffer.dispatch();
    assert_eq!(exporter.live().len(), 1);
}

#[test]
fn one_who_waits_for_the_buffer_is_not_told_of_a_move_that_is_undone() {
    let (buffer, exporter) = movable();
    std::thread::scope(|scope| {
        let mover = scope.spawn(|| {
            for _ in 0..5000 {
                exporter.fail(Step::Copy, 0);
                // The copy fails in the thread that submits it. If that is the other one, the move's
                // fence says so.
                let moved = buffer.move_to(&to(Placements::SHMEM));
                let failed = match &moved {
                    Ok(moved) => moved.wait(Duration::from_secs(10)).is_err(),
                    Err(error) => matches!(error, MoveError::Copy { .. }),
                };
                assert!(failed && exporter.stop_failing(), "{moved:?}");
                buffer.dispatch();
            }
        });
        // Between two looks of the one who waits, moves begin and are undone. The content is right
        // in the old memory all the time.
        while !mover.is_finished() {
            for access in [Access::Read, Access::Write] {
                buffer.wait_ready(access, Duration::from_secs(10)).unwrap();
            }
        }
    });
    assert_at_home(&buffer, &exporter);
}

#[test]
fn i6_a_mapping_of_before_an_undone_move_keeps_the_memory_at_the_next() {
    let (buffer, exporter) = movable();
    let attachment = buffer
        .attach_dynamic(&Device::anywhere("slow"), Calls::default())
        .unwrap();
    let mapping = attachment.map().unwrap();
    exporter.fail(Step::Copy, 0);
    buffer.move_to(&to(Placements::SHMEM)).unwrap_err();
    // It is the first generation's memory that the buffer leaves as the third.
    buffer.move_to(&to(Placements::SHMEM)).unwrap();
    buffer.dispatch();
    exporter.assert_no_faults();
    assert_eq!(exporter.live().len(), 2, "it is mapped still");
    drop(mapping);
    buffer.dispatch();
    assert_eq!(exporter.live().len(), 1);
    exporter.assert_no_faults();
}

#[test]
fn i6_a_mapping_of_before_a_revocation_keeps_the_memory_at_the_next_move() {
    let (buffer, exporter) = movable();
    let attachment = buffer
        .attach_dynamic(&Device::anywhere("slow"), Calls::default())
        .unwrap();
    let mapping = attachment.map().unwrap();
    buffer.revoke().unwrap();
    buffer.unrevoke().unwrap();
    buffer.move_to(&to(Placements::SHMEM)).unwrap();
    buffer.dispatch();
    assert_eq!(exporter.live().len(), 2, "it is mapped still");
    exporter.assert_no_faults();
    drop(mapping);
    buffer.dispatch();
    assert_eq!(exporter.live().len(), 1);
}

#[test]
fn a_move_does_not_make_a_failed_write_good() {
    let (buffer, exporter) = movable();
    let crashed = SoftwareTimeline::new("crashed");
    buffer.add_fence(Access::Write, crashed.fence(1)).unwrap();
    drop(crashed);
    buffer.move_to(&to(Placements::SHMEM)).unwrap();
    let ready = buffer.ready(Access::Read).status();
    assert!(matches!(ready, FenceStatus::Failed(_)), "{ready:?}");
    exporter.assert_no_faults();
}
