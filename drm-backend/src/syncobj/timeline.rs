//! A timeline of fences in a drm_syncobj.

use std::any::Any;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dmashare::{Fence, FenceError, FenceStatus, SyncFile, Timeline, TimelineId};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::error::SyncobjError;
use crate::syncobj::{Syncobj, SyncobjDevice, SyncobjWait};

/// A drm_syncobj whose points are fences: what a Wayland client and a compositor share
/// (`linux-drm-syncobj-v1`). Clones are the same timeline.
///
/// A point may be waited for before its work is submitted; a sync_file can be made of it only after
/// that. The kernel keeps no error of a point: one whose work failed has signalled like any other. Nor
/// does anybody signal the points of a process that has died before it submitted their work: give
/// such a fence a deadline ([`Fence::with_deadline`]).
#[derive(Clone, Debug)]
pub struct SyncobjTimeline {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    id: TimelineId,
    producer: String,
    syncobj: Syncobj,
    /// The highest point that was seen signalled. Points do not go back, unless someone resets it.
    reached: AtomicU64,
}

impl SyncobjDevice {
    /// Makes a timeline at 0, whose fences name `producer` in reports.
    ///
    /// # Errors
    /// [`SyncobjError::Device`].
    pub fn timeline(&self, producer: impl Into<String>) -> Result<SyncobjTimeline, SyncobjError> {
        Ok(SyncobjTimeline::new(self.create(false)?, producer))
    }
}

impl SyncobjTimeline {
    /// The timeline in a syncobj, such as one that was imported. Its fences name `producer` in
    /// reports.
    pub fn new(syncobj: Syncobj, producer: impl Into<String>) -> Self {
        Self {
            shared: Arc::new(Shared {
                id: TimelineId::unique(),
                producer: producer.into(),
                syncobj,
                reached: AtomicU64::new(0),
            }),
        }
    }

    /// The syncobj, to export it, signal points and wait for them. It must not be reset: fences that
    /// have signalled stay so here.
    pub fn syncobj(&self) -> &Syncobj {
        &self.shared.syncobj
    }

    /// The fence that signals with `point`.
    pub fn fence(&self, point: u64) -> Fence {
        Fence::Point {
            timeline: self.shared.clone(),
            point,
        }
    }

    /// Has `point` signal with a fence of any kind: makes a sync_file of it, which may block in a
    /// driver, and puts that there. A fence that has signalled signals the point. Costs what the
    /// sync_file does ([`Fence::export_sync_file`]), and four ioctls.
    ///
    /// # Errors
    /// [`SyncobjError::Fence`]: it has failed, or no sync_file can be made of it;
    /// [`SyncobjError::Device`].
    pub fn import(&self, point: u64, fence: &Fence) -> Result<(), SyncobjError> {
        match fence.export_sync_file() {
            Ok(file) => self.syncobj().import_sync_file(point, &file),
            Err(FenceError::NoSyncFile { .. }) if fence.status() == FenceStatus::Signalled => {
                self.syncobj().signal(point)
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Shared {
    fn failed(&self, error: SyncobjError) -> FenceError {
        let producer = self.producer.clone();
        match error {
            SyncobjError::Timeout => FenceError::Timeout { producer },
            SyncobjError::NoFence => FenceError::NoSyncFile { producer },
            error => FenceError::Device {
                operation: "a drm_syncobj's operation",
                producer,
                source: error.into(),
            },
        }
    }
}

impl Timeline for Shared {
    fn id(&self) -> TimelineId {
        self.id
    }

    fn producer(&self) -> &str {
        &self.producer
    }

    fn status(&self, point: u64) -> FenceStatus {
        if self.reached.load(Ordering::Acquire) >= point {
            return FenceStatus::Signalled;
        }
        match self.syncobj.signalled() {
            Ok(reached) => {
                self.reached.fetch_max(reached, Ordering::AcqRel);
                match reached >= point {
                    true => FenceStatus::Signalled,
                    false => FenceStatus::Pending,
                }
            }
            Err(error) => {
                tracing::error!(%error, device = self.syncobj.device_name(), "a syncobj cannot be read");
                FenceStatus::Failed(nix::errno::Errno::EIO)
            }
        }
    }

    fn wait(&self, point: u64, timeout: Duration) -> Result<(), FenceError> {
        let what = SyncobjWait {
            for_submit: true,
            ..SyncobjWait::default()
        };
        let waited = self.syncobj.wait(point, what, timeout);
        waited.map_err(|error| self.failed(error))?;
        self.reached.fetch_max(point, Ordering::AcqRel);
        Ok(())
    }

    fn export_sync_file(&self, point: u64) -> Result<SyncFile, FenceError> {
        let exported = self.syncobj.export_sync_file(point);
        exported.map_err(|error| self.failed(error))
    }

    /// An eventfd, also for a point whose work was not submitted yet.
    fn pollable(&self, point: u64) -> Result<OwnedFd, FenceError> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let eventfd = EventFd::from_flags(flags).map_err(|errno| FenceError::Os {
            operation: "eventfd",
            source: errno.into(),
        })?;
        let asked = self.syncobj.notify(point, false, eventfd.as_fd());
        asked.map_err(|error| self.failed(error))?;
        Ok(eventfd.into())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
