//! Fences that cannot be added to a dma-buf yet stay owed to the foreign holders of a buffer.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dmashare::host::HostMemory;
use dmashare::{
    Access, AccessConstraint, Fence, FenceError, FenceStatus, Placements, SharedBuffer, SyncFile,
    SyncMode, Timeline,
};
use dmashare_lab_probe::SwSyncTimeline;
use support::desc;
use support::device::Device;

/// A fence whose sync_file cannot be made while descriptors are short.
#[derive(Debug)]
struct Scarce {
    file: SyncFile,
    has_descriptors: AtomicBool,
    panics: bool,
}

impl Timeline for Scarce {
    fn producer(&self) -> &str {
        "scarce"
    }

    fn status(&self, _point: u64) -> FenceStatus {
        self.file.status().unwrap()
    }

    fn wait(&self, _point: u64, timeout: Duration) -> Result<(), FenceError> {
        self.file.wait(timeout)
    }

    fn export_sync_file(&self, _point: u64) -> Result<SyncFile, FenceError> {
        assert!(!self.panics, "it was told to panic");
        if self.has_descriptors.load(Ordering::SeqCst) {
            return Ok(self.file.try_clone()?);
        }
        Err(FenceError::Os {
            operation: "fcntl(F_DUPFD_CLOEXEC)",
            source: std::io::Error::from_raw_os_error(24),
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[test]
fn a_fence_that_a_move_could_not_publish_stays_owed() {
    let memory = HostMemory::open().unwrap();
    let at = |placement| AccessConstraint::placements(placement);
    let buffer = SharedBuffer::new_dynamic(&memory, desc("scarce"), &at(Placements::HOST)).unwrap();
    let flag = Arc::new(AtomicBool::new(false));
    let attachment = buffer
        .attach_dynamic(&Device::anywhere("camera"), flag)
        .unwrap();
    attachment.set_sync_mode(SyncMode::Implicit).unwrap();
    let timeline = SwSyncTimeline::new();
    let scarce = Arc::new(Scarce {
        file: SyncFile::new(timeline.fence(1)).unwrap(),
        has_descriptors: AtomicBool::new(false),
        panics: false,
    });
    let fence = Fence::Point {
        timeline: scarce.clone(),
        point: 1,
    };
    buffer.add_fence(Access::Write, fence).unwrap();
    let moved = buffer.move_to(&at(Placements::SHMEM)).unwrap();
    let seen_outside = || {
        let fences = buffer.backing().dmabuf().fences(Access::Read);
        fences.unwrap().status()
    };
    assert!(buffer.publish_fences().is_err());
    assert_eq!(seen_outside(), FenceStatus::Signalled);
    scarce.has_descriptors.store(true, Ordering::SeqCst);
    // The move itself is a software fence, which stays owed.
    assert!(buffer.publish_fences().is_err());
    assert_eq!(seen_outside(), FenceStatus::Pending);
    timeline.increment(1);
    moved.wait(Duration::from_secs(5)).unwrap();
    buffer.publish_fences().unwrap();
}

#[test]
fn an_export_that_a_timeline_ends_by_a_panic_leaves_no_holder() {
    let buffer = support::buffer("panicking timeline");
    let attachment = buffer.attach(&Device::anywhere("gpu")).unwrap();
    let mapping = attachment.map().unwrap();
    let timeline = SwSyncTimeline::new();
    let panicking = Arc::new(Scarce {
        file: SyncFile::new(timeline.fence(1)).unwrap(),
        has_descriptors: AtomicBool::new(false),
        panics: true,
    });
    let fence = Fence::Point {
        timeline: panicking,
        point: 1,
    };
    buffer.add_fence(Access::Write, fence).unwrap();
    let exported = catch_unwind(AssertUnwindSafe(|| buffer.export("client").map(drop)));
    assert!(exported.is_err(), "the panic goes on to the caller");
    assert!(!mapping.has_foreign_holders());
    assert_eq!(buffer.attachments().len(), 1);
}
