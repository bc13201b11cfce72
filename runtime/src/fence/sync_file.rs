//! The kernel's sync_file: a fence in a file descriptor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::{ClockId, clock_gettime};

use crate::fence::descriptor_error::SyncFileError;
use crate::fence::error::FenceError;
use crate::fence::held_reservations;
use crate::fence::status::FenceStatus;
use crate::sys;

/// The descriptor of a sync_file. It becomes readable (poll) when its fences have
/// signalled, and stays readable. An event loop or an async runtime can wait for it through [`AsFd`], as
/// for a socket.
#[derive(Debug)]
pub struct SyncFile {
    fd: OwnedFd,
    /// Whether it was seen signalled. That is permanent, so the kernel is not queried again.
    signalled: AtomicBool,
    /// Whether the kernel has once answered that it is a sync_file.
    checked: AtomicBool,
}

impl SyncFile {
    /// Takes ownership of `fd` and checks with `SYNC_IOC_FILE_INFO` that it is a sync_file. Closes it on
    /// error.
    ///
    /// # Errors
    /// - [`SyncFileError::NotSyncFile`]: it is another kind of file.
    /// - [`SyncFileError::Os`]: the ioctl failed (`EBADF`: the descriptor is closed).
    pub fn new(fd: OwnedFd) -> Result<Self, SyncFileError> {
        let file = Self::from_kernel(fd);
        match file.status() {
            Ok(_) => Ok(file),
            Err(error) => {
                if matches!(&error, SyncFileError::Os { source, .. } if source.raw_os_error() == Some(nix::libc::EBADF))
                {
                    // Nothing is open under this number, so there is nothing to close.
                    let _ = file.fd.into_raw_fd();
                }
                Err(error)
            }
        }
    }

    /// Takes ownership of `fd`, which an ioctl has just returned as a sync_file, such as `OUT_FENCE_PTR`
    /// of a display. It is not checked here, so this cannot fail after the work was submitted, but before
    /// a driver gets it that would not check it ([`check`](Self::check)). Use [`SyncFile::new`] for a
    /// descriptor from elsewhere.
    pub fn from_kernel(fd: OwnedFd) -> Self {
        Self {
            fd,
            signalled: AtomicBool::new(false),
            checked: AtomicBool::new(false),
        }
    }

    /// Checks that the descriptor is a sync_file, unless the kernel has confirmed that before. Vulkan
    /// drivers do not check it: one of them waits for ever for a pipe.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn check(&self) -> Result<(), SyncFileError> {
        if !self.checked.load(Ordering::Relaxed) {
            self.raw_info()?;
        }
        Ok(())
    }

    fn raw_info(&self) -> Result<sys::sync_file::FileInfo, SyncFileError> {
        let info = sys::sync_file::info(self.fd.as_fd());
        if info.is_ok() {
            self.checked.store(true, Ordering::Relaxed);
        }
        info.map_err(|source| match source.raw_os_error() {
            // Files without ioctls return ENOTTY. Some device files return EINVAL or EPERM for ioctls
            // that they do not know.
            Some(nix::libc::ENOTTY | nix::libc::EINVAL | nix::libc::EPERM) => {
                SyncFileError::NotSyncFile {
                    fd: self.fd.as_raw_fd(),
                }
            }
            _ => SyncFileError::Os {
                operation: "SYNC_IOC_FILE_INFO",
                source,
            },
        })
    }

    /// Status of all its fences together. One ioctl, and none once they were seen signalled.
    ///
    /// # Errors
    /// [`SyncFileError::Os`] when the ioctl fails.
    pub fn status(&self) -> Result<FenceStatus, SyncFileError> {
        if self.signalled.load(Ordering::Relaxed) {
            return Ok(FenceStatus::Signalled);
        }
        let status = status_of(self.raw_info()?.status);
        if status == FenceStatus::Signalled {
            self.signalled.store(true, Ordering::Relaxed);
        }
        Ok(status)
    }

    /// Number of fences in the file.
    ///
    /// # Errors
    /// [`SyncFileError::Os`] when the ioctl fails.
    pub fn fence_count(&self) -> Result<u32, SyncFileError> {
        Ok(self.raw_info()?.fences)
    }

    /// Makes a sync_file that signals when this one and `other` have signalled (`SYNC_IOC_MERGE`).
    ///
    /// # Errors
    /// [`SyncFileError::Os`] when the ioctl fails.
    pub fn merge(&self, other: &Self) -> Result<Self, SyncFileError> {
        let fd = sys::sync_file::merge(self.as_fd(), other.as_fd()).map_err(|source| {
            SyncFileError::Os {
                operation: "SYNC_IOC_MERGE",
                source,
            }
        })?;
        Ok(Self::from_kernel(fd))
    }

    /// Makes a sync_file that signals when all of `files` have signalled; `None` if there are none. Takes
    /// one `SYNC_IOC_MERGE` for each file but the first. A single file is duplicated.
    ///
    /// # Errors
    /// [`SyncFileError::Os`] when an ioctl fails or the process has no descriptor left. Files that were
    /// made are closed.
    pub fn merge_all<'a>(
        files: impl IntoIterator<Item = &'a Self>,
    ) -> Result<Option<Self>, SyncFileError> {
        let mut files = files.into_iter();
        let Some(first) = files.next() else {
            return Ok(None);
        };
        let Some(second) = files.next() else {
            return first.try_clone().map(Some);
        };
        let merged = first.merge(second)?;
        files
            .try_fold(merged, |merged, file| merged.merge(file))
            .map(Some)
    }

    /// Hints to the drivers of the fences that a waiter needs them within `time` from now
    /// (`SYNC_IOC_SET_DEADLINE`); a GPU may raise its clock. The fences do not fail if they miss the
    /// deadline.
    ///
    /// # Errors
    /// [`SyncFileError::Unsupported`] before Linux 6.5; [`SyncFileError::Os`].
    pub fn set_deadline(&self, time: Duration) -> Result<(), SyncFileError> {
        const OPERATION: &str = "SYNC_IOC_SET_DEADLINE";
        let failed = |source| SyncFileError::Os {
            operation: OPERATION,
            source,
        };
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_err(|errno| failed(errno.into()))?;
        let deadline = Duration::from(now).saturating_add(time);
        let nanoseconds = u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX);
        sys::sync_file::set_deadline(self.as_fd(), nanoseconds).map_err(|source| {
            match source.raw_os_error() {
                Some(nix::libc::ENOTTY) => SyncFileError::Unsupported {
                    operation: OPERATION,
                },
                _ => failed(source),
            }
        })
    }

    /// Duplicates the descriptor.
    ///
    /// # Errors
    /// [`SyncFileError::Os`] when the process has no descriptor left.
    pub fn try_clone(&self) -> Result<Self, SyncFileError> {
        let fd = self.fd.try_clone().map_err(|source| SyncFileError::Os {
            operation: "fcntl(F_DUPFD_CLOEXEC)",
            source,
        })?;
        Ok(Self {
            fd,
            signalled: AtomicBool::new(self.signalled.load(Ordering::Relaxed)),
            checked: AtomicBool::new(self.checked.load(Ordering::Relaxed)),
        })
    }

    /// Waits until the fences have signalled, for at most `timeout`.
    ///
    /// # Errors
    /// - [`FenceError::Timeout`]: they have not signalled in time.
    /// - [`FenceError::Failed`]: they signalled with an error.
    /// - [`FenceError::SyncFile`]: a system call failed.
    /// - [`FenceError::WouldDeadlock`]: they are pending, and this thread has an open submission or is in an
    ///   invalidate callback, where nothing may wait (I16).
    pub fn wait(&self, timeout: Duration) -> Result<(), FenceError> {
        // If the fences are over, this takes at most one ioctl and does not read the clock.
        match self.status()? {
            FenceStatus::Pending => {}
            over => return ended(over),
        }
        if held_reservations::any() {
            return Err(FenceError::WouldDeadlock {
                producer: "sync_file".to_owned(),
            });
        }
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            // Round up to whole milliseconds, so that the loop does not spin during the last one.
            let timeout = match left {
                Some(left) => PollTimeout::try_from(left.as_micros().div_ceil(1000))
                    .unwrap_or(PollTimeout::MAX),
                None => PollTimeout::MAX,
            };
            let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Ok(0) if left.is_some_and(|left| left.is_zero()) => {
                    return Err(FenceError::Timeout {
                        producer: "sync_file".to_owned(),
                    });
                }
                Ok(0) | Err(Errno::EINTR | Errno::EAGAIN) => {}
                Ok(_) => break,
                Err(errno) => {
                    return Err(SyncFileError::Os {
                        operation: "poll",
                        source: errno.into(),
                    }
                    .into());
                }
            }
        }
        ended(self.status()?)
    }

    /// Returns the descriptor, for an API that takes ownership of it.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

/// Result of a wait for fences that are over.
fn ended(status: FenceStatus) -> Result<(), FenceError> {
    match status {
        FenceStatus::Failed(errno) => Err(FenceError::Failed {
            producer: "sync_file".to_owned(),
            source: io::Error::from(errno),
        }),
        _ => Ok(()),
    }
}

/// Converts a fence's status from the kernel's encoding.
pub(crate) fn status_of(raw: i32) -> FenceStatus {
    match raw {
        0 => FenceStatus::Pending,
        error if error < 0 => FenceStatus::Failed(Errno::from_raw(-error)),
        _ => FenceStatus::Signalled,
    }
}

impl AsFd for SyncFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
