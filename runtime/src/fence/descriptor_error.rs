//! Errors of dma-buf and sync_file descriptors.

use std::io;

use crate::image::layout_error::LayoutError;

/// A file descriptor that is not a valid dma-buf, or a dma-buf operation that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DmaBufError {
    /// The descriptor refers to another kind of file (a pipe, a memfd, a socket).
    #[error("file descriptor {fd} is not a dma-buf (file system type {magic:#x})")]
    NotDmaBuf {
        /// The descriptor's number.
        fd: i32,
        /// `f_type` of fstatfs(2).
        magic: u64,
    },
    /// The layout does not fit the memory.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The kernel is too old for the ioctl (`ENOTTY`). The ioctls for a dma-buf's own fences exist since
    /// Linux 6.0; no capability reports them.
    #[error("this kernel has no {operation}")]
    Unsupported {
        /// The ioctl.
        operation: &'static str,
    },
    /// A system call failed. `EBADF` means that the descriptor is closed.
    #[error("{operation} on a dma-buf failed")]
    Os {
        /// The system call or ioctl.
        operation: &'static str,
        /// The error of the system call.
        source: io::Error,
    },
}

/// A file descriptor that is not a sync_file, or a sync_file operation that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncFileError {
    /// The descriptor refers to another kind of file. Vulkan would hang the queue with it, so it is
    /// refused first.
    #[error("file descriptor {fd} is not a sync_file")]
    NotSyncFile {
        /// The descriptor's number.
        fd: i32,
    },
    /// The kernel is too old for the ioctl (`ENOTTY`).
    #[error("this kernel has no {operation}")]
    Unsupported {
        /// The ioctl.
        operation: &'static str,
    },
    /// A system call failed. `EBADF` means that the descriptor is closed.
    #[error("{operation} on a sync_file failed")]
    Os {
        /// The system call or ioctl.
        operation: &'static str,
        /// The error of the system call.
        source: io::Error,
    },
}
