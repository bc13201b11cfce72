//! Why fences could not be exchanged with a dma-buf's own.

use crate::fence::descriptor_error::DmaBufError;
use crate::fence::error::FenceError;

/// Why a buffer's fences could not be exchanged with those that its dma-buf carries itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImplicitSyncError {
    /// An ioctl on the dma-buf failed. With [`DmaBufError::Unsupported`] the kernel has none of
    /// them (before Linux 6.0): stay explicit, and send sync_files along.
    #[error("the fences of '{buffer}' cannot be exchanged with those of its dma-buf")]
    DmaBuf {
        /// The buffer's name.
        buffer: String,
        /// Why.
        source: DmaBufError,
    },
    /// A fence cannot be put there. With [`FenceError::NoSyncFile`] it is of a kind that no
    /// sync_file can be made of: wait until it is over before the other side is told.
    #[error("a fence of '{buffer}' cannot be put into its dma-buf")]
    Fence {
        /// The buffer's name.
        buffer: String,
        /// Why.
        source: FenceError,
    },
    /// This thread holds a reservation.
    #[error(
        "the fences of '{buffer}' cannot be exchanged now: this thread has an open submission, or is in an invalidate callback"
    )]
    WouldDeadlock {
        /// The buffer's name.
        buffer: String,
    },
}
