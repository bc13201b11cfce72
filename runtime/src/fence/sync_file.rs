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
use crate::fence::status::FenceStatus;
use crate::sys;

/// A sync_file, checked to be one. It becomes readable (poll) when its fences have signalled, and stays
/// so: an event loop or an async runtime waits for it as for a socket, through [`AsFd`].
#[derive(Debug)]
pub struct SyncFile {
    fd: OwnedFd,
    /// Seen to have signalled. That is permanent: the kernel need not be asked again.
    signalled: AtomicBool,
}

impl SyncFile {
    /// Takes ownership of `fd`, after checking with `SYNC_IOC_FILE_INFO` that it is a sync_file. It
    /// is closed on error.
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

    /// Takes ownership of `fd`, which an ioctl of the kernel has just given as a sync_file
    /// (`OUT_FENCE_PTR` of a display, for one). So it is not checked, and this cannot fail when the
    /// work is on its way already; what comes from elsewhere goes through [`SyncFile::new`].
    pub fn from_kernel(fd: OwnedFd) -> Self {
        Self {
            fd,
            signalled: AtomicBool::new(false),
        }
    }

    fn raw_info(&self) -> Result<sys::sync_file::FileInfo, SyncFileError> {
        sys::sync_file::info(self.fd.as_fd()).map_err(|source| match source.raw_os_error() {
            // Files without ioctls answer ENOTTY; some device files answer EINVAL or EPERM to
            // numbers that they do not know.
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

    /// Whether the fences are pending, have signalled, or ended in an error. One ioctl, and none
    /// once it has told that they have signalled.
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

    /// How many fences the file holds.
    ///
    /// # Errors
    /// [`SyncFileError::Os`] when the ioctl fails.
    pub fn fence_count(&self) -> Result<u32, SyncFileError> {
        Ok(self.raw_info()?.fences)
    }

    /// A new sync_file that signals when this and `other` both have (`SYNC_IOC_MERGE`).
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

    /// A sync_file that signals when all of these have; `None` of none. One `SYNC_IOC_MERGE` for each
    /// but the first, which is duplicated if it is alone.
    ///
    /// # Errors
    /// [`SyncFileError::Os`] when an ioctl fails, or no descriptor is left. What was made is closed.
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

    /// Tells the drivers behind the fences that a waiter would like them to have signalled within
    /// `time` from now (`SYNC_IOC_SET_DEADLINE`): a GPU may raise its clock for that. It is a hint; the
    /// fences do not end in an error because of it.
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

    /// A new descriptor of the same sync_file.
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
        })
    }

    /// Waits until the fences have signalled, for `timeout` at most.
    ///
    /// # Errors
    /// - [`FenceError::Timeout`]: they have not.
    /// - [`FenceError::Failed`]: they signalled with an error.
    /// - [`FenceError::SyncFile`]: a system call failed.
    pub fn wait(&self, timeout: Duration) -> Result<(), FenceError> {
        // What is over already costs one ioctl at most, and no look at the clock.
        match self.status()? {
            FenceStatus::Pending => {}
            over => return ended(over),
        }
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            // Whole milliseconds, rounded up, so that the loop does not spin through the last one.
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

    /// Gives the descriptor away, to an API that takes ownership of it.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

/// What a wait for fences that are over comes to.
fn ended(status: FenceStatus) -> Result<(), FenceError> {
    match status {
        FenceStatus::Failed(errno) => Err(FenceError::Failed {
            producer: "sync_file".to_owned(),
            source: io::Error::from(errno),
        }),
        _ => Ok(()),
    }
}

/// The kernel's way to tell a fence's status.
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
