//! Fences, which signal when a piece of work is done.

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
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::caught_panic::{caught, discard};
use crate::fence::error::FenceError;
use crate::fence::status::FenceStatus;
use crate::fence::sync_file::SyncFile;

/// A counter that only increases. Point `n` has signalled when the counter has reached `n`. Examples are
/// a Vulkan timeline semaphore, a display's count of flips, and a counter in software.
///
/// A timeline is identified by its address: two fences are on the same timeline if they hold the same
/// [`Arc`].
pub trait Timeline: Send + Sync + fmt::Debug {
    /// Name of the producer, for reports: "Vulkan llvmpipe", "display Virtual-1".
    fn producer(&self) -> &str;

    /// Whether `point` has signalled. Must not block. The caller may hold a reservation; a call of the
    /// library that would wait returns a `WouldDeadlock` error then.
    fn status(&self, point: u64) -> FenceStatus;

    /// Whether the work of `point` has ended, so that it no longer uses any memory. By default it has if the
    /// status is signalled or failed. It differs for a fence that is given up while its work goes on.
    fn is_finished(&self, point: u64) -> bool {
        self.status(point).is_over()
    }

    /// Waits until `point` has signalled, for at most `timeout`.
    ///
    /// # Errors
    /// [`FenceError::Timeout`]; [`FenceError::Failed`] or [`FenceError::ProducerGone`] if the work
    /// ended without completing; [`FenceError::Device`].
    fn wait(&self, point: u64, timeout: Duration) -> Result<(), FenceError>;

    /// Makes a sync_file that signals with `point`. A driver may block here until the work is done, so
    /// this is never called while a reservation is held.
    ///
    /// # Errors
    /// [`FenceError::NoSyncFile`] if this kind of timeline has no sync_files; [`FenceError::Device`].
    fn export_sync_file(&self, point: u64) -> Result<SyncFile, FenceError>;

    /// Makes a descriptor, owned by the caller, that becomes readable (poll) when `point` has signalled
    /// or failed, and stays readable. By default it is the sync_file.
    ///
    /// # Errors
    /// As [`export_sync_file`](Self::export_sync_file).
    fn pollable(&self, point: u64) -> Result<OwnedFd, FenceError> {
        self.export_sync_file(point).map(SyncFile::into_fd)
    }

    /// Returns `self`, for [`Fence::point_on`], by which a backend recognises its own timelines.
    fn as_any(&self) -> &dyn Any;
}

/// A fence: a point on a timeline, or a sync_file. Cloning does not allocate.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fence {
    /// Signals when the timeline reaches the point.
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
    /// Whether the fence has signalled. Does not block. A fence whose timeline panics has failed
    /// (`ENOTRECOVERABLE`).
    pub fn status(&self) -> FenceStatus {
        match self {
            Self::Point { timeline, point } => {
                caught(|| timeline.status(*point)).unwrap_or_else(|payload| {
                    discard(payload);
                    FenceStatus::Failed(Errno::ENOTRECOVERABLE)
                })
            }
            Self::SyncFile(file) => file.status().unwrap_or_else(|error| {
                tracing::error!(%error, "a sync_file cannot be read");
                FenceStatus::Failed(Errno::EIO)
            }),
        }
    }

    /// Whether the work has ended, so that the memory that it used may be freed. A fence whose deadline has
    /// passed ([`with_deadline`](Self::with_deadline)) has failed, but its work may go on. Does not block.
    pub fn is_finished(&self) -> bool {
        match self {
            Self::Point { timeline, point } => caught(|| timeline.is_finished(*point))
                .unwrap_or_else(|payload| {
                    discard(payload);
                    true
                }),
            Self::SyncFile(_) => self.status().is_over(),
        }
    }

    /// Name of the producer.
    pub fn producer(&self) -> &str {
        match self {
            Self::Point { timeline, .. } => timeline.producer(),
            Self::SyncFile(_) => "sync_file",
        }
    }

    /// Waits on the CPU until the fence has signalled, for at most `timeout`.
    ///
    /// # Errors
    /// As [`Timeline::wait`] and [`SyncFile::wait`]; [`FenceError::WouldDeadlock`] if this thread has
    /// an open submission or is in an invalidate callback, where nothing may wait (I16).
    pub fn wait(&self, timeout: Duration) -> Result<(), FenceError> {
        self.may_block()?;
        match self {
            Self::Point { timeline, point } => timeline.wait(*point, timeout),
            Self::SyncFile(file) => file.wait(timeout),
        }
    }

    /// Makes a sync_file, owned by the caller, that signals with this fence. May block in a driver, so
    /// it must not be called while a submission is open.
    ///
    /// # Errors
    /// As [`Timeline::export_sync_file`]; [`FenceError::SyncFile`] if the process has no descriptor
    /// left; [`FenceError::WouldDeadlock`] as for [`wait`](Self::wait).
    pub fn export_sync_file(&self) -> Result<SyncFile, FenceError> {
        self.may_block()?;
        match self {
            Self::Point { timeline, point } => timeline.export_sync_file(*point),
            Self::SyncFile(file) => Ok(file.try_clone()?),
        }
    }

    /// Makes a descriptor, owned by the caller, that becomes readable (poll) when the fence has
    /// signalled or failed, so that an event loop or an async runtime can wait for any kind of fence.
    /// Only poll and close it; [`status`](Self::status) says how the fence ended.
    ///
    /// For a sync_file it is a duplicate, for a software fence a socket, for a point of a syncobj an
    /// eventfd, for a fence with a deadline an epoll descriptor, and for a Vulkan point a sync_file. May
    /// block in a driver, as [`export_sync_file`](Self::export_sync_file).
    ///
    /// # Errors
    /// As [`export_sync_file`](Self::export_sync_file); [`FenceError::Os`] if the process has no
    /// descriptor left.
    pub fn pollable(&self) -> Result<OwnedFd, FenceError> {
        self.may_block()?;
        let made = match self {
            Self::Point { timeline, point } => timeline.pollable(*point),
            Self::SyncFile(file) => Ok(file.try_clone()?.into_fd()),
        };
        match made {
            // Some timelines have no descriptor for points that are over.
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

    /// The timeline and the point, if the fence is a point on a `T`. A timeline that wraps a `T` does not
    /// count, even if its [`as_any`](Timeline::as_any) returns the `T`: its points may mean something else.
    pub fn point_on<T: Timeline + 'static>(&self) -> Option<(&T, u64)> {
        let Self::Point { timeline, point } = self else {
            return None;
        };
        let found = timeline.as_any().downcast_ref::<T>()?;
        std::ptr::addr_eq(found, Arc::as_ptr(timeline)).then_some((found, *point))
    }

    /// Whether both are the same point or the same sync_file.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.supersedes(other) && other.supersedes(self)
    }

    /// Whether this fence is on the same timeline as `other` and signals no earlier, so that a wait for
    /// this one is a wait for both.
    pub fn supersedes(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Point { timeline, point },
                Self::Point {
                    timeline: other_timeline,
                    point: other_point,
                },
            ) => is_same_object(timeline, other_timeline) && point >= other_point,
            (Self::SyncFile(file), Self::SyncFile(other)) => Arc::ptr_eq(file, other),
            _ => false,
        }
    }
}

/// Whether both are the same timeline. Their vtables may differ, so only the addresses count.
fn is_same_object(timeline: &Arc<dyn Timeline>, other: &Arc<dyn Timeline>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(timeline), Arc::as_ptr(other))
}

/// Makes an eventfd, which is readable if `value` is not 0.
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
