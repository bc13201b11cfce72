//! Implicit fences and the display: what a flip waits for, and what a capture tells others.
#![allow(clippy::unwrap_used)]

use std::os::fd::AsFd;

use dmashare::host::DmaHeap;
use dmashare::{
    Access, DmaBufMemory, ExportGuard, Fence, FenceStatus, Fourcc, Mapping, SharedBuffer, SyncMode,
};
use dmashare_drm::{Card, Commit, CommitId, OutputCommit, SyncobjDevice};
use dmashare_lab_probe::{SwSyncTimeline, Vgem, within_time_limit};

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::*;

struct Exported {
    buffer: SharedBuffer,
    mapping: Mapping<Card>,
    guard: ExportGuard,
}

impl Exported {
    fn new(screen: &Screen, name: &str) -> Self {
        let heap = DmaHeap::open("system").unwrap();
        let buffer = buffer(&heap, name, Fourcc::XRGB8888, screen.extent());
        let mapping = map(&buffer, &screen.card);
        let guard = buffer.export("client").unwrap();
        Self {
            buffer,
            mapping,
            guard,
        }
    }

    fn memory(&self) -> &DmaBufMemory {
        &self.guard.dmabuf().memories()[0]
    }

    /// What someone outside adds.
    fn add(&self, access: Access, fence: &Fence) {
        self.guard.dmabuf().add_fence(access, fence).unwrap();
    }

    /// What someone outside waits for.
    fn seen(&self, access: Access) -> FenceStatus {
        let file = self.memory().export_sync_file(access).unwrap();
        file.status().unwrap()
    }
}

/// A fence that has signalled, in a sync_file. Given as a plane's in-fence it makes the kernel ignore
/// the dma-buf's own fences.
fn over() -> Fence {
    let timeline = SwSyncTimeline::new();
    let fence = sync_fence(&timeline, 1);
    timeline.increment(1);
    fence
}

fn present(screen: &Screen, buffer: &Exported, fence: Option<&Fence>) -> CommitId {
    let id = screen.card.present(&screen.output, &buffer.mapping, fence);
    id.unwrap()
}

fn nothing_happens(screen: &Screen) {
    assert!(screen.card.wait_events(A_WHILE).unwrap().is_empty());
}

#[test]
fn a_flip_waits_for_an_implicit_write_and_not_for_a_read() {
    within_time_limit(|| {
        let screen = Screen::new();
        let (first, second) = (Exported::new(&screen, "a"), Exported::new(&screen, "b"));
        screen.show(screen.showing(&first.mapping));
        let timeline = SwSyncTimeline::new();
        second.add(Access::Read, &sync_fence(&timeline, 2));
        let id = present(&screen, &second, None);
        wait_for_flip(&screen.card, id);
        // A reader is not in the way of the display, a writer is.
        first.add(Access::Write, &sync_fence(&timeline, 1));
        let id = present(&screen, &first, None);
        nothing_happens(&screen);
        timeline.increment(1);
        wait_for_flip(&screen.card, id);
        timeline.increment(1);
    });
}

/// With any in-fence the kernel looks at no other: the library puts them together.
#[test]
fn an_in_fence_does_not_switch_off_the_implicit_ones() {
    within_time_limit(|| {
        let screen = Screen::new();
        let (first, second) = (Exported::new(&screen, "a"), Exported::new(&screen, "b"));
        screen.show(screen.showing(&first.mapping));
        let timeline = SwSyncTimeline::new();
        second.add(Access::Write, &sync_fence(&timeline, 1));
        let id = present(&screen, &second, Some(&over()));
        nothing_happens(&screen);
        timeline.increment(1);
        wait_for_flip(&screen.card, id);
        // And for someone who is explicit, it does.
        first.guard.set_sync_mode(SyncMode::Explicit).unwrap();
        first.add(Access::Write, &sync_fence(&timeline, 2));
        let id = present(&screen, &first, Some(&over()));
        wait_for_flip(&screen.card, id);
        timeline.increment(1);
    });
}

#[test]
fn a_flip_waits_for_the_fence_of_a_device_that_imported_the_buffer() {
    within_time_limit(|| {
        let screen = Screen::new();
        let (first, second) = (Exported::new(&screen, "a"), Exported::new(&screen, "b"));
        screen.show(screen.showing(&first.mapping));
        let vgem = Vgem::open();
        let imported = vgem.import(second.memory().as_fd());
        let write = imported.attach_fence(true).unwrap();
        let id = present(&screen, &second, Some(&over()));
        nothing_happens(&screen);
        write.signal().unwrap();
        wait_for_flip(&screen.card, id);
    });
}

#[test]
fn a_flip_waits_for_a_syncobjs_point() {
    within_time_limit(|| {
        let screen = Screen::new();
        let (first, second) = (Exported::new(&screen, "a"), Exported::new(&screen, "b"));
        screen.show(screen.showing(&first.mapping));
        let client = SyncobjDevice::of_driver("vgem").unwrap();
        let client = client.timeline("client 7").unwrap();
        let timeline = SwSyncTimeline::new();
        client.import(3, &sync_fence(&timeline, 1)).unwrap();
        let id = present(&screen, &second, Some(&client.fence(3)));
        nothing_happens(&screen);
        timeline.increment(1);
        wait_for_flip(&screen.card, id);
        assert_eq!(client.fence(3).status(), FenceStatus::Signalled);
    });
}

/// Others that hold a target do not read it before the capture is over.
#[test]
fn a_capture_is_a_write_that_others_see() {
    within_time_limit(|| {
        let screen = Screen::new();
        let shown = Exported::new(&screen, "shown");
        let target = Exported::new(&screen, "target");
        screen.show(screen.showing(&shown.mapping));
        assert_eq!(target.seen(Access::Write), FenceStatus::Signalled);
        let timeline = SwSyncTimeline::new();
        // The target is busy outside: the capture, and so the whole commit, waits for that reader.
        target.add(Access::Read, &sync_fence(&timeline, 1));
        let output: OutputCommit = screen.showing(&shown.mapping).writeback(&target.mapping);
        let id = screen.card.commit(Commit::new().output(output)).unwrap();
        nothing_happens(&screen);
        assert_eq!(target.seen(Access::Read), FenceStatus::Pending);
        timeline.increment(1);
        wait_for_capture(&screen.card, id);
        assert_eq!(target.seen(Access::Write), FenceStatus::Signalled);
        // The scanout itself is told to nobody, as the kernel does not: that is what is left to tell.
        assert!(shown.buffer.publish_fences().is_err());
        assert_eq!(shown.seen(Access::Write), FenceStatus::Signalled);
    });
}

/// The kernel lets a flip through when the fence that it waits for ends in an error.
#[test]
fn a_writer_that_dies_does_not_hold_the_screen() {
    within_time_limit(|| {
        let screen = Screen::new();
        let (first, second) = (Exported::new(&screen, "a"), Exported::new(&screen, "b"));
        screen.show(screen.showing(&first.mapping));
        let timeline = SwSyncTimeline::new();
        second.add(Access::Write, &sync_fence(&timeline, 1));
        let id = present(&screen, &second, None);
        nothing_happens(&screen);
        drop(timeline);
        wait_for_flip(&screen.card, id);
    });
}
