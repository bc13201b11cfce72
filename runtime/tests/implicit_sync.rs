//! Implicit synchronisation: the fences that a dma-buf carries itself, in both directions.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use dmashare::host::HostMemory;
use dmashare::{
    Access, AccessConstraint, AttachError, Fence, FenceError, FenceStatus, FenceUsage,
    ImplicitSyncError, Mapping, Modifier, Placement, Placements, SharedBuffer, SoftwareTimeline,
    Submission, SyncFile, SyncMode,
};
use dmashare_lab_probe::SwSyncTimeline;
use support::device::Device;
use support::{desc, heap};

const SOON: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(5);

struct Used {
    buffer: SharedBuffer,
    mapping: Mapping<Device>,
}

fn used(name: &str) -> Used {
    let buffer = SharedBuffer::new(&heap(), desc(name), &[Modifier::LINEAR]).unwrap();
    let device = Device::anywhere("gpu");
    let mapping = buffer.attach(&device).unwrap().map().unwrap();
    Used { buffer, mapping }
}

impl Used {
    /// What someone outside does with the dma-buf.
    fn add_outside(&self, access: Access, fence: &SyncFile) {
        let backing = self.buffer.backing();
        let [memory] = backing.dmabuf().memories() else {
            panic!("one memory");
        };
        memory.import_sync_file(fence, access).unwrap();
    }

    /// What someone outside waits for.
    fn seen_outside(&self, access: Access) -> FenceStatus {
        let backing = self.buffer.backing();
        let memory = &backing.dmabuf().memories()[0];
        memory.export_sync_file(access).unwrap().status().unwrap()
    }

    /// What a use through the library waits for.
    fn waits(&self, access: Access) -> Vec<FenceUsage> {
        let submission = Submission::begin([self.mapping.used_for(access)]).unwrap();
        let mut waits = Vec::new();
        submission
            .visit_waits::<()>(|fence, usage, _| {
                assert_eq!(fence.status(), FenceStatus::Pending);
                waits.push(usage);
                Ok(())
            })
            .unwrap();
        waits
    }
}

fn sync_file(timeline: &SwSyncTimeline, value: u32) -> SyncFile {
    SyncFile::new(timeline.fence(value)).unwrap()
}

#[test]
fn an_explicit_buffer_knows_nothing_of_the_dma_bufs_fences() {
    let used = used("explicit");
    let (outside, ours) = (SwSyncTimeline::new(), SwSyncTimeline::new());
    used.add_outside(Access::Write, &sync_file(&outside, 1));
    assert!(used.waits(Access::Write).is_empty());
    let submission = Submission::begin([used.mapping.write()]).unwrap();
    submission.commit(&sync_file(&ours, 1).into());
    outside.increment(1);
    assert_eq!(used.seen_outside(Access::Write), FenceStatus::Signalled);
    assert_eq!(used.waits(Access::Read), [FenceUsage::Write]);
}

#[test]
fn while_a_guard_lives_uses_wait_for_the_other_side() {
    let used = used("exported");
    let guard = used.buffer.export("client").unwrap();
    assert_eq!(guard.sync_mode(), SyncMode::Implicit);
    let (reader, writer) = (SwSyncTimeline::new(), SwSyncTimeline::new());
    used.add_outside(Access::Read, &sync_file(&reader, 1));
    assert!(
        used.waits(Access::Read).is_empty(),
        "readers do not wait for readers"
    );
    assert_eq!(used.waits(Access::Write).len(), 1);
    used.add_outside(Access::Write, &sync_file(&writer, 1));
    assert_eq!(used.waits(Access::Read), [FenceUsage::Write]);
    assert!(matches!(
        used.buffer.wait_ready(Access::Read, SOON),
        Err(FenceError::Timeout { .. })
    ));
    writer.increment(1);
    assert!(used.waits(Access::Read).is_empty());
    used.buffer.wait_ready(Access::Read, LONG).unwrap();
    assert_eq!(used.waits(Access::Write).len(), 1, "the reader is not done");
    reader.increment(1);
    assert!(used.waits(Access::Write).is_empty());
    // Without the guard nobody looks any more.
    drop(guard);
    used.add_outside(Access::Write, &sync_file(&writer, 2));
    assert!(used.waits(Access::Write).is_empty());
}

#[test]
fn while_a_guard_lives_the_other_side_sees_uses() {
    let used = used("seen");
    let timeline = SwSyncTimeline::new();
    let before: Fence = sync_file(&timeline, 1).into();
    Submission::begin([used.mapping.write()])
        .unwrap()
        .commit(&before);
    assert_eq!(used.seen_outside(Access::Read), FenceStatus::Signalled);
    let fences = used.buffer.report().fences;
    assert_eq!(fences[0].producer, "sync_file of sw_sync");
    // What was pending when the descriptors left is seen, too.
    let guard = used.buffer.export("client").unwrap();
    assert_eq!(used.seen_outside(Access::Read), FenceStatus::Pending);
    timeline.increment(1);
    assert_eq!(used.seen_outside(Access::Write), FenceStatus::Signalled);

    let read: Fence = sync_file(&timeline, 2).into();
    Submission::begin([used.mapping.read()])
        .unwrap()
        .commit(&read);
    assert_eq!(used.seen_outside(Access::Read), FenceStatus::Signalled);
    assert_eq!(used.seen_outside(Access::Write), FenceStatus::Pending);
    let write: Fence = sync_file(&timeline, 3).into();
    Submission::begin([used.mapping.write()])
        .unwrap()
        .commit(&write);
    assert_eq!(used.seen_outside(Access::Read), FenceStatus::Pending);
    timeline.increment(1);
    assert_eq!(used.seen_outside(Access::Read), FenceStatus::Pending);
    timeline.increment(1);
    assert_eq!(used.seen_outside(Access::Write), FenceStatus::Signalled);

    // A submission that is dropped shows nobody anything.
    drop(Submission::begin([used.mapping.write()]).unwrap());
    assert_eq!(used.seen_outside(Access::Write), FenceStatus::Signalled);
    guard.set_sync_mode(SyncMode::Explicit).unwrap();
    let unseen: Fence = sync_file(&timeline, 4).into();
    Submission::begin([used.mapping.write()])
        .unwrap()
        .commit(&unseen);
    assert_eq!(used.seen_outside(Access::Write), FenceStatus::Signalled);
    timeline.increment(1);
}

#[test]
fn an_explicit_export_leaves_fences_to_the_application() {
    let used = used("by hand");
    let guard = used.buffer.export_explicit("client").unwrap();
    assert_eq!(guard.sync_mode(), SyncMode::Explicit);
    let timeline = SwSyncTimeline::new();
    used.add_outside(Access::Write, &sync_file(&timeline, 1));
    assert!(used.waits(Access::Write).is_empty());
    timeline.increment(1);
}

#[test]
fn an_implicit_attachment_makes_everyones_uses_implicit() {
    let used = used("attached");
    let camera = used.buffer.attach(&Device::anywhere("camera")).unwrap();
    assert_eq!(camera.sync_mode(), SyncMode::Explicit);
    camera.set_sync_mode(SyncMode::Implicit).unwrap();
    let reports = used.buffer.attachments();
    let modes: Vec<_> = reports.iter().map(|report| report.sync).collect();
    assert_eq!(modes, [SyncMode::Explicit, SyncMode::Implicit]);
    let timeline = SwSyncTimeline::new();
    used.add_outside(Access::Write, &sync_file(&timeline, 1));
    assert_eq!(used.waits(Access::Read), [FenceUsage::Write]);
    drop(camera);
    // Its mapping is gone with it: nobody else is implicit.
    assert!(used.waits(Access::Read).is_empty());
    timeline.increment(1);
}

#[test]
fn the_snapshot_of_a_submission_does_not_grow() {
    let used = used("snapshot");
    let _guard = used.buffer.export("client").unwrap();
    let (first, second) = (SwSyncTimeline::new(), SwSyncTimeline::new());
    used.add_outside(Access::Write, &sync_file(&first, 1));
    let submission = Submission::begin([used.mapping.read()]).unwrap();
    used.add_outside(Access::Write, &sync_file(&second, 1));
    first.increment(1);
    let mut pending = 0;
    submission
        .visit_waits::<()>(|_, _, _| {
            pending += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(pending, 0, "what came later is the next one's");
    drop(submission);
    assert_eq!(used.waits(Access::Read).len(), 1);
    second.increment(1);
}

/// A fence that no sync_file can be made of stays owed, and is told as soon as that makes sense.
#[test]
fn a_software_fence_is_owed_and_told_of() {
    let used = used("owed");
    let _guard = used.buffer.export("client").unwrap();
    used.buffer.publish_fences().unwrap();
    let display = SoftwareTimeline::new("display Virtual-1");
    Submission::begin([used.mapping.read()])
        .unwrap()
        .commit(&display.fence(1));
    match used.buffer.publish_fences() {
        Err(ImplicitSyncError::Fence {
            buffer,
            source: FenceError::NoSyncFile { producer },
        }) => assert_eq!((&*buffer, &*producer), ("owed", "display Virtual-1")),
        other => panic!("{other:?}"),
    }
    // The next use is not held up by it.
    assert_eq!(used.waits(Access::Write).len(), 1);
    display.signal(1);
    used.buffer.publish_fences().unwrap();
}

#[test]
fn what_was_pending_in_software_when_the_descriptors_left_is_told_of() {
    let used = used("left");
    let worker = SoftwareTimeline::new("worker");
    Submission::begin([used.mapping.write()])
        .unwrap()
        .commit(&worker.fence(1));
    let _guard = used.buffer.export("client").unwrap();
    assert!(matches!(
        used.buffer.publish_fences(),
        Err(ImplicitSyncError::Fence { .. })
    ));
    drop(worker);
    used.buffer.publish_fences().unwrap();
}

#[test]
fn i16_nothing_of_it_happens_under_a_reservation() {
    let (used, other) = (used("held"), used("other"));
    let guard = used.buffer.export_explicit("client").unwrap();
    let open = Submission::begin([other.mapping.write()]).unwrap();
    assert!(matches!(
        guard.set_sync_mode(SyncMode::Implicit),
        Err(ImplicitSyncError::WouldDeadlock { buffer }) if buffer == "held"
    ));
    assert_eq!(guard.sync_mode(), SyncMode::Explicit);
    assert!(matches!(
        used.buffer.export("client"),
        Err(AttachError::WouldDeadlock { .. })
    ));
    assert!(matches!(
        used.buffer.publish_fences(),
        Err(ImplicitSyncError::WouldDeadlock { .. })
    ));
    drop(open);
    guard.set_sync_mode(SyncMode::Implicit).unwrap();
}

#[test]
fn a_failed_writer_outside_is_told_to_readers() {
    let used = used("failed");
    let _guard = used.buffer.export("client").unwrap();
    let timeline = SwSyncTimeline::new();
    used.add_outside(Access::Write, &sync_file(&timeline, 1));
    let submission = Submission::begin([used.mapping.read()]).unwrap();
    drop(timeline);
    let mut failed = Vec::new();
    submission
        .visit_waits::<()>(|fence, usage, _| {
            failed.push((usage, fence.status()));
            Ok(())
        })
        .unwrap();
    assert_eq!(
        failed,
        [(
            FenceUsage::Write,
            FenceStatus::Failed(nix::errno::Errno::ENOENT)
        )]
    );
}

/// What others outside do with the memory that a buffer leaves is over before it is copied.
#[test]
fn a_move_waits_for_the_dma_bufs_own_fences() {
    let memory = HostMemory::open().unwrap();
    let at = |placement| AccessConstraint::placements(placement);
    let buffer = SharedBuffer::new_dynamic(&memory, desc("moving"), &at(Placements::HOST)).unwrap();
    let flag = Arc::new(AtomicBool::new(false));
    let attachment = buffer
        .attach_dynamic(&Device::anywhere("camera"), flag)
        .unwrap();
    attachment.set_sync_mode(SyncMode::Implicit).unwrap();
    assert_eq!(attachment.sync_mode(), SyncMode::Implicit);
    let mapping = attachment.map().unwrap();
    let timeline = SwSyncTimeline::new();
    let used = Used { buffer, mapping };
    used.add_outside(Access::Read, &sync_file(&timeline, 1));
    let moved = used.buffer.move_to(&at(Placements::SHMEM)).unwrap();
    assert!(!moved.is_over());
    assert!(matches!(
        attachment.map().unwrap().backing().placement(),
        Placement::Shmem
    ));
    // Work on the new memory waits for the move, though its dma-buf says nothing of it.
    let submission = Submission::begin([attachment.map().unwrap().read()]).unwrap();
    let mut waits = Vec::new();
    submission
        .visit_waits::<()>(|_, usage, _| {
            waits.push(usage);
            Ok(())
        })
        .unwrap();
    assert_eq!(waits, [FenceUsage::Move]);
    drop(submission);
    timeline.increment(1);
    moved.wait(LONG).unwrap();
    assert!(moved.is_over());
}

/// Whoever gets the descriptors while work is being committed sees its fence, whichever came first.
#[test]
fn an_export_and_a_commit_do_not_miss_each_other() {
    let used = used("race");
    let timeline = SwSyncTimeline::new();
    for round in 1..200 {
        let fence: Fence = sync_file(&timeline, round).into();
        let guard = thread::scope(|scope| {
            scope.spawn(|| {
                let submission = Submission::begin([used.mapping.write()]).unwrap();
                thread::yield_now();
                submission.commit(&fence);
            });
            scope
                .spawn(|| used.buffer.export("client").unwrap())
                .join()
                .unwrap()
        });
        assert_eq!(
            used.seen_outside(Access::Read),
            FenceStatus::Pending,
            "{round}"
        );
        drop(guard);
        timeline.increment(1);
        assert_eq!(
            used.seen_outside(Access::Write),
            FenceStatus::Signalled,
            "{round}"
        );
    }
}
