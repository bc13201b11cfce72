//! Fence timelines backed by a drm_syncobj.

use std::any::Any;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dmashare::{Fence, FenceError, FenceStatus, SyncFile, Timeline};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::error::SyncobjError;
use crate::syncobj::{Syncobj, SyncobjDevice, SyncobjWait};

/// A drm_syncobj whose points are fences, as a Wayland client and a compositor share it
/// (`linux-drm-syncobj-v1`). Clones refer to the same timeline.
///
/// A wait on a point may start before its work is submitted; a sync_file can be exported only after
/// that. The kernel records no error for a point: a point whose work failed signals like any other. If
/// a process dies before it submits the work of a point, the point never signals; give such a fence a
/// deadline ([`Fence::with_deadline`]).
#[derive(Clone, Debug)]
pub struct SyncobjTimeline {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    producer: String,
    syncobj: Syncobj,
    /// The highest point that was observed as signalled. The value of a timeline decreases only when
    /// the syncobj is reset.
    reached: AtomicU64,
}

impl SyncobjDevice {
    /// Creates a timeline at 0. Its fences report `producer` as their producer.
    ///
    /// # Errors
    /// [`SyncobjError::Device`]: the syncobj could not be created.
    pub fn timeline(&self, producer: impl Into<String>) -> Result<SyncobjTimeline, SyncobjError> {
        Ok(SyncobjTimeline::new(self.create(false)?, producer))
    }
}

impl SyncobjTimeline {
    /// The timeline of an existing syncobj, such as an imported one. Its fences report `producer` as
    /// their producer.
    pub fn new(syncobj: Syncobj, producer: impl Into<String>) -> Self {
        Self {
            shared: Arc::new(Shared {
                producer: producer.into(),
                syncobj,
                reached: AtomicU64::new(0),
            }),
        }
    }

    /// The underlying syncobj, to export it, signal points and wait for them. It must not be reset: the
    /// timeline caches the highest signalled point, so its fences would stay signalled.
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

    /// Makes `point` signal with a fence of any kind. The fence is exported as a sync_file, which may
    /// block in a driver, and imported at the point. A fence that has already signalled signals the
    /// point. This costs the export ([`Fence::export_sync_file`]) and four ioctls.
    ///
    /// # Errors
    /// - [`SyncobjError::Fence`]: the fence has failed, or cannot be exported as a sync_file.
    /// - [`SyncobjError::Device`]: an ioctl failed.
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
                tracing::error!(%error, device = self.syncobj.device_name(), "failed to query a syncobj");
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

    /// Returns an eventfd, also if the work of the point has not been submitted yet.
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
