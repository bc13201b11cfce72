//! What handles and fences promise: that a move is over, that memory is kept while it is used, that no
//! fence is dropped, that a list does not grow.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use dmashare::host::HostMemory;
use dmashare::route::{CpuRows, Detour, RoutePolicy, Routes};
use dmashare::{
    Access, AccessConstraint, FenceStatus, Placement, Placements, Priority, Residency,
    SharedBuffer, SoftwareTimeline, Submission,
};
use support::device::{Calls, Device};
use support::fake_exporter::{CopyMode, FakeExporter, Step};
use support::{attached, movable, to};

const LONG: Duration = Duration::from_secs(5);

#[test]
fn a_second_move_to_the_same_place_is_over_with_the_first() {
    for mode in [CopyMode::Cpu, CopyMode::Device] {
        let (buffer, exporter) = movable("moved twice");
        exporter.set_mode(mode);
        let writer = SoftwareTimeline::new("writer");
        buffer.add_fence(Access::Write, writer.fence(1)).unwrap();
        let first = buffer.move_to(&to(Placements::SHMEM)).unwrap();
        let second = buffer.move_to(&to(Placements::SHMEM)).unwrap();
        assert_eq!(first.generation(), second.generation());
        assert!(second.fence().is_some(), "the content is on its way");
        assert!(!first.is_over() && !second.is_over(), "{mode:?}");
        writer.signal(1);
        buffer.dispatch();
        exporter.finish_copies();
        second.wait(LONG).unwrap();
        assert!(first.is_over() && second.is_over());
        let third = buffer.move_to(&to(Placements::SHMEM)).unwrap();
        assert!(third.is_over() && third.fence().is_none());
    }
}

#[test]
fn memory_is_kept_while_a_worker_runs_whose_fence_has_expired() {
    let (buffer, exporter) = movable("late worker");
    let attachment = attached(&buffer);
    let worker = SoftwareTimeline::new("worker");
    let mapping = attachment.map().unwrap();
    let fence = worker.fence_within(1, Duration::from_millis(1));
    Submission::begin([mapping.read()]).unwrap().commit(&fence);
    std::thread::sleep(Duration::from_millis(5));
    assert!(matches!(fence.status(), FenceStatus::Failed(_)) && !fence.is_finished());
    // A later use takes the expired fence out of no list.
    let done = SoftwareTimeline::new("done");
    done.signal(1);
    buffer.add_fence(Access::Write, done.fence(1)).unwrap();
    drop((mapping, attachment));
    buffer.move_to(&to(Placements::SHMEM)).unwrap();
    buffer.dispatch();
    assert_eq!(exporter.live().len(), 2, "the worker still reads");
    worker.signal(1);
    assert!(fence.is_finished());
    buffer.dispatch();
    assert_eq!(exporter.live().len(), 1);
}

#[test]
fn a_wait_for_a_move_goes_on_when_a_fence_before_it_expires() {
    let (buffer, exporter) = movable("expired before");
    let worker = SoftwareTimeline::new("worker");
    let fence = worker.fence_within(1, Duration::from_millis(30));
    buffer.add_fence(Access::Write, fence).unwrap();
    let moved = buffer.move_to(&to(Placements::SHMEM)).unwrap();
    assert!(!moved.is_over());
    moved.wait(LONG).unwrap();
    assert_eq!(exporter.live().len(), 2);
}

#[test]
fn fences_of_buffers_that_a_submission_did_not_lock_are_added() {
    let (locked, _) = movable("locked");
    let (other, _) = movable("other");
    let (first, second) = (attached(&locked), attached(&other));
    let (mapping, stray) = (first.map().unwrap(), second.map().unwrap());
    let work = SoftwareTimeline::new("work");
    let submission = Submission::begin([mapping.read()]).unwrap();
    let fences = [
        (mapping.read(), work.fence(1)),
        (stray.write(), work.fence(2)),
    ];
    submission.commit_each(fences).publish();
    assert!(locked.ready(Access::Read).is_empty());
    assert!(!locked.ready(Access::Write).is_empty());
    assert!(
        !other.ready(Access::Read).is_empty(),
        "the write is forgotten"
    );
}

#[test]
fn shadows_see_a_write_that_was_begun_as_a_read() {
    let memory = HostMemory::open().unwrap();
    let desc = support::desc("written");
    let buffer = SharedBuffer::new_dynamic(&memory, desc, &AccessConstraint::default()).unwrap();
    let writer = attached(&buffer);
    let routes = Routes::new().with_detour(Detour::moving(&memory, CpuRows::default()));
    let never = Arc::new(AtomicBool::new(false));
    let shadowed = routes.attach(
        &buffer,
        &support::Recorder::default(),
        RoutePolicy::ShadowOnly,
        never,
    );
    let shadowed = shadowed.unwrap();
    drop(shadowed.map().unwrap());
    let before = shadowed.bytes_copied();
    let mapping = writer.map().unwrap();
    let done = SoftwareTimeline::new("done");
    done.signal(1);
    let submission = Submission::begin([mapping.read()]).unwrap();
    let fences = [(mapping.write(), done.fence(1))];
    submission.commit_each(fences).publish();
    drop(shadowed.map().unwrap());
    assert!(shadowed.bytes_copied() > before, "the shadow is stale");
}

#[test]
fn revocations_leave_nothing_behind() {
    let (buffer, _exporter) = movable("revoked often");
    let reader = SoftwareTimeline::new("reader");
    buffer.add_fence(Access::Read, reader.fence(1)).unwrap();
    for _ in 0..100 {
        drop(buffer.revoke().unwrap());
        buffer.unrevoke().unwrap();
    }
    let left = buffer.report().old_backings.len();
    assert!(left <= 1, "{left} old backings");
    let revocation = buffer.revoke().unwrap();
    assert!(!revocation.is_over());
    reader.signal(1);
    assert!(revocation.is_over());
}

#[test]
fn an_engine_may_be_patient_for_ever() {
    let memory = HostMemory::open().unwrap();
    let desc = support::desc("patient");
    let buffer = SharedBuffer::new_dynamic(&memory, desc, &AccessConstraint::default()).unwrap();
    let engine = CpuRows::with_patience(Duration::MAX);
    let routes = Routes::new().with_detour(Detour::moving(&memory, engine));
    let never = Arc::new(AtomicBool::new(false));
    let device = support::Recorder::default();
    let attachment = routes.attach(&buffer, &device, RoutePolicy::ShadowOnly, never);
    drop(attachment.unwrap().map().unwrap());
}

/// A residency with one place of room, and a buffer in it.
fn resident(exporter: &FakeExporter, name: &str) -> (Residency, SharedBuffer) {
    let residency = Residency::new();
    let host = to(Placements::HOST);
    let made = residency.create(exporter, support::desc(name), &host, Priority(1));
    (residency, made.unwrap())
}

#[test]
fn a_buffer_whose_eviction_failed_can_be_evicted_later() {
    let exporter = FakeExporter::new(Placements::HOST | Placements::SHMEM);
    let (residency, buffer) = resident(&exporter, "eviction failed");
    exporter.fail(Step::Copy, 0);
    let report = residency.trim(Placement::Host, 1);
    assert_eq!((report.moved, report.refused.len()), (0, 1));
    assert_eq!(buffer.backing().placement(), Placement::Host);
    assert_eq!(residency.trim(Placement::Host, 1).moved, 1);
    // The same where the copy is made later.
    drop(attached(&buffer).map().unwrap());
    assert_eq!(buffer.backing().placement(), Placement::Host);
    let writer = SoftwareTimeline::new("writer");
    buffer.add_fence(Access::Write, writer.fence(1)).unwrap();
    assert_eq!(residency.trim(Placement::Host, 1).moved, 1);
    exporter.fail(Step::Copy, 0);
    writer.signal(1);
    residency.dispatch();
    assert_eq!(buffer.backing().placement(), Placement::Host);
    assert_eq!(residency.trim(Placement::Host, 1).moved, 1);
}

#[test]
fn a_buffer_whose_return_failed_comes_back_later() {
    let exporter = FakeExporter::new(Placements::HOST | Placements::SHMEM);
    let (residency, buffer) = resident(&exporter, "return failed");
    residency.set_hold(Duration::ZERO);
    assert_eq!(residency.trim(Placement::Host, 1).moved, 1);
    let attachment = attached(&buffer);
    let reader = SoftwareTimeline::new("reader");
    buffer.add_fence(Access::Write, reader.fence(1)).unwrap();
    // It is on its way, and the copy fails when its time has come.
    drop(attachment.map().unwrap());
    assert_eq!(buffer.backing().placement(), Placement::Host);
    exporter.fail(Step::Copy, 0);
    reader.signal(1);
    residency.dispatch();
    assert_eq!(buffer.backing().placement(), Placement::Shmem);
    drop(attachment.map().unwrap());
    assert_eq!(buffer.backing().placement(), Placement::Host, "forgotten");
}

#[test]
fn memory_that_a_dead_importer_keeps_does_not_stall_others() {
    let exporter = FakeExporter::new(Placements::HOST | Placements::SHMEM);
    let (residency, buffer) = resident(&exporter, "kept");
    let bytes = buffer.backing().bytes();
    residency.set_budget(Placement::Host, 2 * bytes);
    residency.set_let_go_deadline(LONG);
    buffer.set_stale_deadline(Duration::from_millis(1));
    let dead = attached(&buffer);
    let kept = dead.map().unwrap();
    buffer.move_to(&to(Placements::SHMEM)).unwrap();
    std::thread::sleep(Duration::from_millis(5));
    residency.dispatch();
    // One of two places is lost. Others take turns in the other one.
    let host = to(Placements::HOST);
    let start = std::time::Instant::now();
    for name in ["second", "third"] {
        let made = residency.create(&exporter, support::desc(name), &host, Priority(1));
        std::mem::forget(made.unwrap());
    }
    assert!(start.elapsed() < LONG / 2, "{:?}", start.elapsed());
    drop(kept);
}

#[test]
fn a_device_that_uses_a_copy_does_not_demand_anything_of_the_buffer() {
    let memory = HostMemory::open().unwrap();
    let desc = support::desc("switched");
    let buffer = SharedBuffer::new_dynamic(&memory, desc, &to(Placements::HOST)).unwrap();
    let device = Device::new("host only", Placements::HOST);
    let routes = Routes::new().with_detour(Detour::moving(&memory, CpuRows::default()));
    let never = Arc::new(AtomicBool::new(false));
    let routed = routes.attach(&buffer, &device, RoutePolicy::KeepInPlace, never);
    let routed = routed.unwrap();
    drop(routed.map().unwrap());
    buffer.move_to(&to(Placements::SHMEM)).unwrap();
    drop(routed.map().unwrap());
    assert!(routed.shadow().is_some());
    // Another device, which needs another place, finds one that suits all.
    let other = Device::new("shmem only", Placements::SHMEM);
    let attachment = buffer.attach_dynamic(&other, Calls::default()).unwrap();
    drop(attachment.pin("scanout").unwrap());
}
