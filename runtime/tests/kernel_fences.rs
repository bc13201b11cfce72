//! The rules of a dma-buf's own fences, as the kernel keeps them and the library relies on them.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::os::fd::AsFd;
use std::time::Duration;

use dmashare::{
    Access, DmaBufMemory, FenceError, FenceStatus, FenceUsage, Modifier, SharedBuffer, Submission,
    SyncFile,
};
use dmashare_lab_probe::{SwSyncTimeline, Vgem, bufinfo};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use proptest::prelude::*;
use support::device::Device;
use support::{desc, heap};

const LONG: Duration = Duration::from_secs(5);

fn memory(name: &str) -> DmaBufMemory {
    let buffer = SharedBuffer::new(&heap(), desc(name), &[Modifier::LINEAR]).unwrap();
    let backing = buffer.backing();
    backing.dmabuf().memories()[0].clone()
}

fn sync_file(timeline: &SwSyncTimeline, value: u32) -> SyncFile {
    SyncFile::new(timeline.fence(value)).unwrap()
}

fn status(memory: &DmaBufMemory, access: Access) -> FenceStatus {
    memory.export_sync_file(access).unwrap().status().unwrap()
}

/// What poll(2) says: whether it may be read (nobody writes), and written (nobody uses it).
fn readiness(memory: &DmaBufMemory) -> (bool, bool) {
    let asked = |flag| {
        let mut fds = [PollFd::new(memory.as_fd(), flag)];
        poll(&mut fds, PollTimeout::ZERO).unwrap() > 0
    };
    (asked(PollFlags::POLLIN), asked(PollFlags::POLLOUT))
}

#[test]
fn a_dma_buf_without_fences_is_ready() {
    let memory = memory("ready");
    for access in [Access::Read, Access::Write] {
        assert_eq!(status(&memory, access), FenceStatus::Signalled);
        assert!(memory.fence(access).unwrap().is_none());
    }
    assert_eq!(readiness(&memory), (true, true));
}

#[test]
fn a_read_holds_up_writers_and_a_write_everyone() {
    let memory = memory("classes");
    let (reads, writes) = (SwSyncTimeline::new(), SwSyncTimeline::new());
    memory
        .import_sync_file(&sync_file(&reads, 1), Access::Read)
        .unwrap();
    let both = || {
        (
            status(&memory, Access::Read),
            status(&memory, Access::Write),
        )
    };
    assert_eq!(both(), (FenceStatus::Signalled, FenceStatus::Pending));
    assert_eq!(readiness(&memory), (true, false));
    memory
        .import_sync_file(&sync_file(&writes, 1), Access::Write)
        .unwrap();
    assert_eq!(both(), (FenceStatus::Pending, FenceStatus::Pending));
    assert_eq!(readiness(&memory), (false, false));
    writes.increment(1);
    assert_eq!(both(), (FenceStatus::Signalled, FenceStatus::Pending));
    reads.increment(1);
    assert_eq!(both(), (FenceStatus::Signalled, FenceStatus::Signalled));
    assert_eq!(readiness(&memory), (true, true));
}

#[test]
fn an_export_is_a_snapshot() {
    let memory = memory("snapshot");
    let timeline = SwSyncTimeline::new();
    let before = memory.export_sync_file(Access::Write).unwrap();
    memory
        .import_sync_file(&sync_file(&timeline, 1), Access::Write)
        .unwrap();
    let between = memory.export_sync_file(Access::Write).unwrap();
    memory
        .import_sync_file(&sync_file(&timeline, 2), Access::Write)
        .unwrap();
    let after = memory.export_sync_file(Access::Write).unwrap();
    let all = || [&before, &between, &after].map(|file| file.status().unwrap().is_over());
    assert_eq!(all(), [true, false, false]);
    timeline.increment(1);
    assert_eq!(all(), [true, true, false]);
    timeline.increment(1);
    assert_eq!(all(), [true, true, true]);
}

#[test]
fn a_fence_outlives_its_file_and_the_exports_its_dma_buf() {
    let memory = memory("outlives");
    let timeline = SwSyncTimeline::new();
    memory
        .import_sync_file(&sync_file(&timeline, 1), Access::Write)
        .unwrap();
    let exported = memory.export_sync_file(Access::Read).unwrap();
    drop(memory);
    assert_eq!(exported.status().unwrap(), FenceStatus::Pending);
    timeline.increment(1);
    exported.wait(LONG).unwrap();
}

#[test]
fn a_writer_waits_for_thirty_two_readers_and_a_writer() {
    let memory = memory("many");
    let readers: Vec<_> = (0..32).map(|_| SwSyncTimeline::new()).collect();
    let writer = SwSyncTimeline::new();
    memory
        .import_sync_file(&sync_file(&writer, 1), Access::Write)
        .unwrap();
    for reader in &readers {
        memory
            .import_sync_file(&sync_file(reader, 1), Access::Read)
            .unwrap();
    }
    let (read, write) = (
        memory.export_sync_file(Access::Read).unwrap(),
        memory.export_sync_file(Access::Write).unwrap(),
    );
    assert_eq!(
        (read.fence_count().unwrap(), write.fence_count().unwrap()),
        (1, 33)
    );
    for reader in &readers {
        assert_eq!(write.status().unwrap(), FenceStatus::Pending);
        reader.increment(1);
    }
    assert_eq!(read.status().unwrap(), FenceStatus::Pending);
    assert_eq!(write.status().unwrap(), FenceStatus::Pending);
    writer.increment(1);
    read.wait(LONG).unwrap();
    write.wait(LONG).unwrap();
}

/// A fence that is there as a read becomes a write by being added again, and not the other way.
#[test]
fn i8_a_fence_is_promoted_and_never_degraded() {
    let memory = memory("promoted");
    let timeline = SwSyncTimeline::new();
    let fence = sync_file(&timeline, 1);
    memory.import_sync_file(&fence, Access::Read).unwrap();
    assert_eq!(status(&memory, Access::Read), FenceStatus::Signalled);
    memory.import_sync_file(&fence, Access::Write).unwrap();
    assert_eq!(status(&memory, Access::Read), FenceStatus::Pending);
    memory.import_sync_file(&fence, Access::Read).unwrap();
    assert_eq!(status(&memory, Access::Read), FenceStatus::Pending);
    timeline.increment(1);
}

#[test]
fn a_failed_fence_in_a_dma_buf_holds_up_nobody_and_an_export_before_tells() {
    let memory = memory("failed");
    let timeline = SwSyncTimeline::new();
    memory
        .import_sync_file(&sync_file(&timeline, 1), Access::Write)
        .unwrap();
    let before = memory.export_sync_file(Access::Read).unwrap();
    drop(timeline);
    assert!(matches!(before.wait(LONG), Err(FenceError::Failed { .. })));
    // The kernel forgets it: who asks now is told nothing.
    assert_eq!(status(&memory, Access::Read), FenceStatus::Signalled);
}

#[test]
fn vgem_fences_refuse_what_they_would_wait_for() {
    let vgem = Vgem::open();
    let buffer = vgem.create(64, 32);
    let write = buffer.attach_fence(true).unwrap();
    assert!(matches!(buffer.attach_fence(true), Err(Errno::EBUSY)));
    assert!(matches!(buffer.attach_fence(false), Err(Errno::EBUSY)));
    write.signal().unwrap();
    let first = buffer.attach_fence(false).unwrap();
    let second = buffer.attach_fence(false).unwrap();
    assert!(matches!(buffer.attach_fence(true), Err(Errno::EBUSY)));
    first.signal().unwrap();
    assert!(matches!(buffer.attach_fence(true), Err(Errno::EBUSY)));
    second.signal().unwrap();
    buffer.attach_fence(true).unwrap().signal().unwrap();
}

#[test]
fn a_vgem_fence_is_seen_in_its_dma_buf_whichever_came_first() {
    let vgem = Vgem::open();
    let buffer = vgem.create(64, 32);
    let before = buffer.attach_fence(true).unwrap();
    let memory = DmaBufMemory::new(buffer.dmabuf()).unwrap();
    assert_eq!(readiness(&memory), (false, false));
    let file = memory.export_sync_file(Access::Read).unwrap();
    assert_eq!(file.info().unwrap().fences[0].driver, "vgem");
    before.signal().unwrap();
    file.wait(LONG).unwrap();
    let after = buffer.attach_fence(false).unwrap();
    assert_eq!(readiness(&memory), (true, false));
    after.signal().unwrap();
    assert_eq!(readiness(&memory), (true, true));
}

/// A device that knows nothing of this library and adds its fences to the dma-buf.
#[test]
fn a_use_waits_for_the_fence_of_a_device_that_has_imported_the_buffer() {
    let buffer = SharedBuffer::new(&heap(), desc("imported"), &[Modifier::LINEAR]).unwrap();
    let mapping = buffer
        .attach(&Device::anywhere("gpu"))
        .unwrap()
        .map()
        .unwrap();
    let guard = buffer.export("vgem").unwrap();
    let vgem = Vgem::open();
    let imported = vgem.import(guard.dmabuf().memories()[0].as_fd());
    let fence = imported.attach_fence(true).unwrap();
    let waits = || {
        let submission = Submission::begin([mapping.read()]).unwrap();
        let mut waits = Vec::new();
        submission
            .visit_waits::<()>(|fence, usage, _| {
                waits.push((usage, fence.status()));
                Ok(())
            })
            .unwrap();
        waits
    };
    assert_eq!(waits(), [(FenceUsage::Write, FenceStatus::Pending)]);
    // And the other way: what we write, it does not overtake.
    let ours = SwSyncTimeline::new();
    fence.signal().unwrap();
    assert!(waits().is_empty());
    let write = Submission::begin([mapping.write()]).unwrap();
    write.commit(&sync_file(&ours, 1).into());
    assert!(matches!(imported.attach_fence(false), Err(Errno::EBUSY)));
    let inode = guard.dmabuf().id().inode();
    let list = bufinfo();
    let info = list.iter().find(|info| info.inode == inode).unwrap();
    assert_eq!(info.attached.len(), 1, "{info:?}");
    ours.increment(1);
    imported.attach_fence(false).unwrap().signal().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What an export says is what the fences that were put in say, in any order.
    #[test]
    fn an_export_is_over_when_the_fences_of_its_class_are(
        fences in prop::collection::vec((0_usize..3, 1_u32..4, any::<bool>()), 0..10),
        steps in prop::collection::vec(0_usize..3, 0..9),
    ) {
        let memory = memory("random");
        let timelines = [(); 3].map(|()| SwSyncTimeline::new());
        let mut values = [0_u32; 3];
        for (timeline, value, write) in &fences {
            let access = if *write { Access::Write } else { Access::Read };
            let file = sync_file(&timelines[*timeline], *value);
            memory.import_sync_file(&file, access).unwrap();
        }
        let files = [Access::Read, Access::Write].map(|access| memory.export_sync_file(access).unwrap());
        for step in [None].into_iter().chain(steps.into_iter().map(Some)) {
            if let Some(step) = step {
                timelines[step].increment(1);
                values[step] += 1;
            }
            let is_over = |of_writes_only: bool| fences
                .iter()
                .filter(|(.., write)| *write || !of_writes_only)
                .all(|(timeline, value, _)| values[*timeline] >= *value);
            prop_assert_eq!(files[0].status().unwrap().is_over(), is_over(true));
            prop_assert_eq!(files[1].status().unwrap().is_over(), is_over(false));
            prop_assert_eq!(readiness(&memory), (is_over(true), is_over(false)));
        }
    }
}
