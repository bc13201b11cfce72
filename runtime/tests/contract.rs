//! The invariants of the contract, by number. More of them carry their numbers elsewhere: `i12` in
//! `wait_die.rs`, `i13` in `failing_moves.rs`, `i14` in `killed.rs`, and all orders of threads in `shuttle`.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use dmashare::host::HostMemory;
use dmashare::{
    Access, AccessConstraint, BufferState, CpuAccess, Exporter, FenceStatus, FenceUsage,
    InvalidationContext, InvalidationReason, Placements, SharedBuffer, SoftwareTimeline,
    Submission, SubmitError,
};
use dmashare_lab_probe::within_time_limit;
use support::device::{Calls, Device};
use support::fake_exporter::{CopyMode, FakeExporter};

fn to(placements: Placements) -> AccessConstraint {
    AccessConstraint::placements(placements)
}

fn movable() -> (SharedBuffer, FakeExporter) {
    let exporter = FakeExporter::new(Placements::HOST | Placements::SHMEM);
    let anything = AccessConstraint::default();
    let buffer = SharedBuffer::new_dynamic(&exporter, support::desc("contract"), &anything);
    (buffer.unwrap(), exporter)
}

#[test]
fn i1_pins_are_the_sum_over_the_attachments() {
    let (buffer, _exporter) = movable();
    let attachment = buffer
        .attach_dynamic(&Device::anywhere("gpu"), Calls::default())
        .unwrap();
    let pins: Vec<_> = (0..3).map(|_| attachment.pin("scanout").unwrap()).collect();
    let guard = buffer.export("client").unwrap();
    let sum: u32 = buffer.attachments().iter().map(|one| one.pins).sum();
    assert_eq!((buffer.pins(), sum), (4, 4));
    drop((pins, guard));
    assert_eq!((buffer.pins(), buffer.attachments()[0].pins), (0, 0));
}

#[test]
fn i2_a_pinned_buffer_changes_neither_place_nor_generation() {
    let (buffer, exporter) = movable();
    let attachment = buffer
        .attach_dynamic(&Device::anywhere("gpu"), Calls::default())
        .unwrap();
    let before = (buffer.backing().placement(), buffer.backing().generation());
    let pin = attachment.pin("scanout").unwrap();
    buffer.move_to(&to(Placements::SHMEM)).unwrap_err();
    assert_eq!(
        (buffer.backing().placement(), buffer.backing().generation()),
        before
    );
    exporter.assert_no_faults();
    drop(pin);
}

#[test]
fn i3_every_change_of_place_is_a_later_generation() {
    let (buffer, _exporter) = movable();
    let generation = || buffer.backing().generation();
    let first = generation();
    buffer.move_to(&to(Placements::SHMEM)).unwrap();
    let second = generation();
    // No change of place, no new generation.
    buffer.move_to(&to(Placements::SHMEM)).unwrap();
    assert_eq!(generation(), second);
    buffer.revoke().unwrap();
    let third = generation();
    assert!(first < second && second < third);
}

#[test]
fn i4_no_work_begins_on_a_stale_mapping() {
    let (buffer, _exporter) = movable();
    let attachment = buffer
        .attach_dynamic(&Device::anywhere("gpu"), Calls::default())
        .unwrap();
    let mapping = attachment.map().unwrap();
    drop(Submission::begin([mapping.write()]).unwrap());
    buffer.move_to(&to(Placements::SHMEM)).unwrap();
    let begun = Submission::begin([mapping.write()]).map(|_| ());
    assert!(matches!(begun, Err(SubmitError::Stale { .. })), "{begun:?}");
    // The refusal has unlocked what it had locked.
    drop(Submission::begin([attachment.map().unwrap().write()]).unwrap());
}

#[test]
fn i5_each_importer_is_told_once_of_each_generation_that_it_maps() {
    let (buffer, _exporter) = movable();
    let (told, idle) = (Calls::default(), Calls::default());
    let attachment = buffer
        .attach_dynamic(&Device::anywhere("gpu"), told.clone())
        .unwrap();
    let sleeping = buffer
        .attach_dynamic(&Device::anywhere("idle"), idle.clone())
        .unwrap();
    for place in [Placements::SHMEM, Placements::HOST, Placements::SHMEM] {
        drop(attachment.map().unwrap());
        buffer.move_to(&to(place)).unwrap();
    }
    assert_eq!(told.generations(), [1, 2, 3]);
    // Nothing mapped, nothing to be told of.
    buffer.move_to(&to(Placements::HOST)).unwrap();
    assert_eq!((told.count(), idle.count()), (3, 0));
    drop((attachment, sleeping));
    buffer.move_to(&to(Placements::SHMEM)).unwrap();
    assert_eq!(told.count(), 3);
}

#[test]
fn i5_nobody_is_told_after_its_detach() {
    let (buffer, _exporter) = movable();
    let doomed = Arc::new(Mutex::new(None));
    let ends = {
        let doomed = doomed.clone();
        move |_: &InvalidationContext<'_>| drop(doomed.lock().unwrap().take())
    };
    let first = buffer
        .attach_dynamic(&Device::anywhere("first"), ends)
        .unwrap();
    let calls = Calls::default();
    let second = buffer
        .attach_dynamic(&Device::anywhere("second"), calls.clone())
        .unwrap();
    drop((first.map().unwrap(), second.map().unwrap()));
    *doomed.lock().unwrap() = Some(second);
    // The first is told, and drops the second, which was to be told next.
    buffer.move_to(&to(Placements::SHMEM)).unwrap();
    assert!(doomed.lock().unwrap().is_none());
    assert_eq!((calls.count(), buffer.attachments().len()), (0, 1));
}

#[test]
fn i6_old_memory_that_nobody_maps_goes_when_its_fences_are_over() {
    let (buffer, exporter) = movable();
    exporter.set_mode(CopyMode::Device);
    let attachment = buffer
        .attach_dynamic(&Device::anywhere("gpu"), Calls::default())
        .unwrap();
    let gpu = SoftwareTimeline::new("gpu");
    let used = attachment.map().unwrap().read();
    Submission::begin([used]).unwrap().commit(&gpu.fence(1));
    buffer.move_to(&to(Placements::SHMEM)).unwrap();
    assert_eq!(buffer.dispatch(), 0, "the device reads it");
    gpu.signal(1);
    assert_eq!(buffer.dispatch(), 0, "the copy reads it");
    exporter.finish_copies();
    assert_eq!((buffer.dispatch(), exporter.live().len()), (1, 1));
    exporter.assert_no_faults();
}

#[test]
fn i6_old_memory_stays_while_it_is_mapped() {
    let (buffer, exporter) = movable();
    let attachment = buffer
        .attach_dynamic(&Device::anywhere("gpu"), Calls::default())
        .unwrap();
    let mapping = attachment.map().unwrap();
    buffer.move_to(&to(Placements::SHMEM)).unwrap();
    assert_eq!((buffer.dispatch(), exporter.live().len()), (0, 2));
    drop(mapping);
    assert_eq!((buffer.dispatch(), exporter.live().len()), (1, 1));
    exporter.assert_no_faults();
}

#[test]
fn i7_a_moves_fence_is_there_before_anyone_can_find_the_new_memory() {
    let (buffer, exporter) = movable();
    exporter.set_mode(CopyMode::Device);
    let seen = Arc::new(OnceLock::new());
    let looks = {
        let (buffer, seen) = (buffer.clone(), seen.clone());
        move |_: &InvalidationContext<'_>| {
            let generation = buffer.backing().generation().as_u64();
            seen.set((generation, buffer.ready(Access::Read).status()))
                .unwrap();
        }
    };
    let attachment = buffer
        .attach_dynamic(&Device::anywhere("gpu"), looks)
        .unwrap();
    drop(attachment.map().unwrap());
    buffer.move_to(&to(Placements::SHMEM)).unwrap();
    assert_eq!(seen.get(), Some(&(2, FenceStatus::Pending)));
    // It stays, as the copy's own, until that is done; for readers and writers.
    let mapping = attachment.map().unwrap();
    for used in [mapping.read(), mapping.write()] {
        let mut classes = Vec::new();
        let submission = Submission::begin([used]).unwrap();
        submission
            .visit_waits(|_, class, _| {
                classes.push(class);
                Ok::<_, ()>(())
            })
            .unwrap();
        assert_eq!(classes, [FenceUsage::Move]);
    }
    exporter.finish_copies();
    assert_eq!(buffer.ready(Access::Write).status(), FenceStatus::Signalled);
}

#[test]
fn i8_asking_for_a_class_gives_it_and_all_before_it() {
    let (buffer, exporter) = movable();
    exporter.set_mode(CopyMode::Device);
    buffer.move_to(&to(Placements::SHMEM)).unwrap();
    let timelines = [
        SoftwareTimeline::new("writer"),
        SoftwareTimeline::new("reader"),
    ];
    buffer
        .add_fence(Access::Write, timelines[0].fence(1))
        .unwrap();
    buffer
        .add_fence(Access::Read, timelines[1].fence(1))
        .unwrap();
    let count = |usage| buffer.reservation().fences(usage).iter().count();
    let classes = [
        FenceUsage::Move,
        FenceUsage::Write,
        FenceUsage::Read,
        FenceUsage::Bookkeep,
    ];
    assert_eq!(classes.map(count), [1, 2, 3, 3]);
}

#[test]
fn i10_a_callback_may_unpin_and_add_fences_and_holds_its_reservation() {
    let (buffer, exporter) = movable();
    let timeline = Arc::new(SoftwareTimeline::new("last work"));
    let answers = Arc::new(Mutex::new(Vec::new()));
    let callback = {
        let (timeline, answers) = (timeline.clone(), answers.clone());
        move |context: &InvalidationContext<'_>| {
            context.add_fence(Access::Write, timeline.fence(1));
            let mut answers = answers.lock().unwrap();
            answers.push((context.reason(), context.unpin()));
        }
    };
    let attachment = buffer
        .attach_dynamic(&Device::anywhere("gpu"), callback)
        .unwrap();
    let mapping = attachment.map().unwrap();
    let _pin = attachment.pin("scanout").unwrap();
    let revocation = buffer.revoke().unwrap();
    assert_eq!(*answers.lock().unwrap(), [(InvalidationReason::Revoke, 1)]);
    assert_eq!(buffer.pins(), 0);
    drop(mapping);
    assert!(!revocation.is_over(), "the fence that the callback added");
    timeline.signal(1);
    assert!(revocation.is_over());
    // It unpinned, so it has not taken the revocation as final.
    buffer.unrevoke().unwrap();
    drop(attachment.map().unwrap());
    exporter.assert_no_faults();
}

#[test]
fn a_pinned_importer_that_does_not_unpin_stays_revoked() {
    let (buffer, _exporter) = movable();
    let display = buffer
        .attach_dynamic(&Device::anywhere("display"), Calls::default())
        .unwrap();
    let gpu = buffer
        .attach_dynamic(&Device::anywhere("gpu"), Calls::default())
        .unwrap();
    let pin = display.pin("scanout").unwrap();
    buffer.revoke().unwrap();
    buffer.unrevoke().unwrap();
    let map = display.map().map(|_| ());
    assert!(
        matches!(map, Err(dmashare::MapError::Revoked { .. })),
        "{map:?}"
    );
    drop(gpu.map().unwrap());
    drop(pin);
}

#[test]
fn i11_signalling_takes_no_reservation() {
    within_time_limit(|| {
        let (buffer, _exporter) = movable();
        let attachment = buffer.attach_dynamic(&Device::anywhere("gpu"), Calls::default());
        let mapping = attachment.unwrap().map().unwrap();
        let timeline = SoftwareTimeline::new("gpu");
        buffer.add_fence(Access::Write, timeline.fence(1)).unwrap();
        let open = Submission::begin([mapping.write()]).unwrap();
        // From another thread, and while this one has the reservation.
        let signal = thread::spawn(move || {
            timeline.signal(1);
            timeline
        });
        let timeline = signal.join().unwrap();
        assert_eq!(buffer.ready(Access::Write).status(), FenceStatus::Signalled);
        drop((open, timeline));
    });
}

#[test]
fn i13_a_refused_attach_leaves_pins_and_generation() {
    let (buffer, exporter) = movable();
    let device = Device::anywhere("encoder");
    device.set_refusing(true);
    buffer.attach(&device).map(|_| ()).unwrap_err();
    let report = buffer.report();
    assert_eq!((report.attachments, report.pins), (vec![], vec![]));
    assert_eq!(
        (report.state, report.generation.as_u64()),
        (BufferState::Resident, 1)
    );
    buffer.move_to(&to(Placements::SHMEM)).unwrap();
    exporter.assert_no_faults();
}

#[test]
fn i15_the_content_is_the_same_after_any_number_of_moves() {
    let exporter = HostMemory::new(Some(support::heap()), Some(support::udmabuf()));
    assert_eq!(exporter.name(), "host memory");
    let anything = AccessConstraint::default();
    let buffer = SharedBuffer::new_dynamic(&exporter, support::desc("content"), &anything).unwrap();
    let row = |row: u32| [u8::try_from(row * 7 % 251).unwrap() + 1; 256];
    let mut access = CpuAccess::begin(buffer.backing().dmabuf(), Access::Write).unwrap();
    (0..32).for_each(|index| access.write_row(0, index, &row(index)).unwrap());
    drop(access);
    for place in [Placements::SHMEM, Placements::HOST].repeat(5) {
        buffer.move_to(&to(place)).unwrap();
        buffer.dispatch();
        let access = CpuAccess::begin(buffer.backing().dmabuf(), Access::Read).unwrap();
        for index in 0..32 {
            let mut bytes = [0; 256];
            access.read_row(0, index, &mut bytes).unwrap();
            assert_eq!(bytes, row(index), "row {index} in {place}");
        }
    }
    assert_eq!(buffer.report().moves, 10);
}

#[test]
fn i16_a_move_waits_for_nobody_and_copies_with_nothing_locked() {
    within_time_limit(|| {
        let (buffer, exporter) = movable();
        let attachment = buffer.attach_dynamic(&Device::anywhere("gpu"), Calls::default());
        let attachment = attachment.unwrap();
        let gpu = SoftwareTimeline::new("gpu");
        let mapping = attachment.map().unwrap();
        Submission::begin([mapping.write()])
            .unwrap()
            .commit(&gpu.fence(1));
        // A fence that never signals here, a mapping that is kept: it returns all the same.
        let moved = buffer.move_to(&to(Placements::SHMEM)).unwrap();
        assert!(!moved.is_over());
        drop(Submission::begin([attachment.map().unwrap().write()]).unwrap());
        gpu.signal(1);
        assert!(moved.is_over());
        // The exporter looks, at every allocation and copy, whether a reservation is held.
        exporter.assert_no_faults();
    });
}
