//! Fences: something that signals once a piece of work is done.

pub(crate) mod deadline;
pub(crate) mod descriptor_error;
pub(crate) mod error;
pub(crate) mod held_reservations;
pub(crate) mod reservation;
pub(crate) mod retire_queue;
pub(crate) mod set;
pub(crate) mod software_timeline;
pub(crate) mod status;
pub(crate) mod sync_file;
pub(crate) mod sync_file_info;
pub(crate) mod usage;

use std::any::Any;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::fence::error::FenceError;
use crate::fence::status::FenceStatus;
use crate::fence::sync_file::SyncFile;

/// Identity of a timeline, unique in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimelineId(u64);

impl TimelineId {
    /// An identity that no other timeline has.
    pub fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A counter that only grows: point `n` has signalled when the counter has reached `n`. A Vulkan
/// timeline semaphore, a display's count of flips, a counter in software.
pub trait Timeline: Send + Sync + fmt::Debug {
    /// Identity of the timeline.
    fn id(&self) -> TimelineId;

    /// Name of the producer, for reports: "Vulkan llvmpipe", "display Virtual-1".
    fn producer(&self) -> &str;

    /// Whether `point` has signalled. Must not block.
    fn status(&self, point: u64) -> FenceStatus;

    /// Waits until `point` has signalled, for `timeout` at most.
    ///
    /// # Errors
    /// [`FenceError::Timeout`]; [`FenceError::Failed`], [`FenceError::ProducerGone`] when the work
    /// ended without being done; [`FenceError::Device`].
    fn wait(&self, point: u64, timeout: Duration) -> Result<(), FenceError>;

    /// A sync_file that signals with `point`. A driver may block here until the work is done, so
    /// this is never called while a reservation is held.
    ///
    /// # Errors
    /// [`FenceError::NoSyncFile`] if this kind of timeline has none; [`FenceError::Device`].
    fn export_sync_file(&self, point: u64) -> Result<SyncFile, FenceError>;

    /// A descriptor that becomes readable (poll) when `point` is over, also with an error, and stays
    /// so. It is the caller's. By default it is the sync_file.
    ///
    /// # Errors
    /// As [`export_sync_file`](Self::export_sync_file).
    fn pollable(&self, point: u64) -> Result<OwnedFd, FenceError> {
        self.export_sync_file(point).map(SyncFile::into_fd)
    }

    /// The timeline as its own type, with which a backend recognises its own.
    fn as_any(&self) -> &dyn Any;
}

/// A fence: a point on a timeline, or a sync_file. Cloning one allocates nothing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fence {
    /// Signals when the timeline has reached the point.
    Point {
        /// The timeline.
        timeline: Arc<dyn Timeline>,
        /// The point on it.
        point: u64,
    },
    /// Signals with the sync_file.
    SyncFile(Arc<SyncFile>),
}

impl Fence {
    /// Whether it has signalled. Does not block.
    pub fn status(&self) -> FenceStatus {
        match self {
            Self::Point { timeline, point } => timeline.status(*point),
            Self::SyncFile(file) => file.status().unwrap_or_else(|error| {
                tracing::error!(%error, "a sync_file cannot be read");
                FenceStatus::Failed(Errno::EIO)
            }),
        }
    }

    /// Name of the producer.
    pub fn producer(&self) -> &str {
        match self {
            Self::Point { timeline, .. } => timeline.producer(),
            Self::SyncFile(_) => "sync_file",
        }
    }

    /// Waits on the CPU until it has signalled, for `timeout` at most.
    ///
    /// # Errors
    /// As [`Timeline::wait`] and [`SyncFile::wait`]; [`FenceError::WouldDeadlock`] while this thread
    /// has an open submission or is in an invalidate callback (I16: nothing waits then).
    pub fn wait(&self, timeout: Duration) -> Result<(), FenceError> {
        self.may_block()?;
        match self {
            Self::Point { timeline, point } => timeline.wait(*point, timeout),
            Self::SyncFile(file) => file.wait(timeout),
        }
    }

    /// A sync_file that signals with this fence, owned by the caller. May block in a driver; not to
    /// be called while a submission is open.
    ///
    /// # Errors
    /// As [`Timeline::export_sync_file`]; [`FenceError::SyncFile`] when no descriptor is left;
    /// [`FenceError::WouldDeadlock`] as for [`wait`](Self::wait).
    pub fn export_sync_file(&self) -> Result<SyncFile, FenceError> {
        self.may_block()?;
        match self {
            Self::Point { timeline, point } => timeline.export_sync_file(*point),
            Self::SyncFile(file) => Ok(file.try_clone()?),
        }
    }

    /// A descriptor that becomes readable (poll) when the fence is over, also with an error: what an
    /// event loop or an async runtime needs to wait for any kind of fence. It is the caller's, to be
    /// polled and closed and nothing else; [`status`](Self::status) tells how it ended.
    ///
    /// A sync_file's is duplicated; a software fence and a syncobj's point make an eventfd; a Vulkan
    /// point makes a sync_file. May block in a driver, as [`export_sync_file`](Self::export_sync_file).
    ///
    /// # Errors
    /// As [`export_sync_file`](Self::export_sync_file); [`FenceError::Os`] when no descriptor is left.
    pub fn pollable(&self) -> Result<OwnedFd, FenceError> {
        self.may_block()?;
        let made = match self {
            Self::Point { timeline, point } => timeline.pollable(*point),
            Self::SyncFile(file) => Ok(file.try_clone()?.into_fd()),
        };
        match made {
            // Some have no descriptor any more once they are over.
            Err(FenceError::NoSyncFile { .. }) if self.status().is_over() => {
                eventfd(1).map(OwnedFd::from)
            }
            made => made,
        }
    }

    fn may_block(&self) -> Result<(), FenceError> {
        if held_reservations::any() {
            return Err(FenceError::WouldDeadlock {
                producer: self.producer().to_owned(),
            });
        }
        Ok(())
    }

    /// Whether both are the same point or the same sync_file.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.supersedes(other) && other.supersedes(self)
    }

    /// Whether this fence signals no earlier than `other` on the same timeline, so that waiting for
    /// this one is waiting for both.
    pub fn supersedes(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Point { timeline, point },
                Self::Point {
                    timeline: other_timeline,
                    point: other_point,
                },
            ) => timeline.id() == other_timeline.id() && point >= other_point,
            (Self::SyncFile(file), Self::SyncFile(other)) => Arc::ptr_eq(file, other),
            _ => false,
        }
    }
}

/// An eventfd that is readable if `value` is not 0.
pub(crate) fn eventfd(value: u32) -> Result<EventFd, FenceError> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    EventFd::from_value_and_flags(value, flags).map_err(|errno| FenceError::Os {
        operation: "eventfd",
        source: errno.into(),
    })
}

impl From<SyncFile> for Fence {
    fn from(file: SyncFile) -> Self {
        Self::SyncFile(Arc::new(file))
    }
}
