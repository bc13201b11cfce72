//! Errors of exchanging fences with a dma-buf.

use crate::fence::descriptor_error::DmaBufError;
use crate::fence::error::FenceError;

/// Why fences could not be exchanged between a buffer's reservation and its dma-buf.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImplicitSyncError {
    /// An ioctl on the dma-buf failed. [`DmaBufError::Unsupported`]: the kernel lacks these ioctls
    /// (before Linux 6.0); stay explicit, and send sync_files with the buffer.
    #[error("the fences of '{buffer}' cannot be exchanged with those of its dma-buf")]
    DmaBuf {
        /// Name of the buffer.
        buffer: String,
        /// Error of the dma-buf operation.
        source: DmaBufError,
    },
    /// A fence cannot be added to the dma-buf. [`FenceError::NoSyncFile`]: no sync_file can be made of
    /// this kind of fence; wait until it is over before you pass the buffer on.
    #[error("a fence of '{buffer}' cannot be added to its dma-buf")]
    Fence {
        /// Name of the buffer.
        buffer: String,
        /// Error of the fence.
        source: FenceError,
    },
    /// This thread holds a reservation.
    #[error(
        "the fences of '{buffer}' cannot be exchanged now: this thread has an open submission, or is in an invalidate callback"
    )]
    WouldDeadlock {
        /// Name of the buffer.
        buffer: String,
    },
}
