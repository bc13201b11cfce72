//! Errors of beginning a submission.

use crate::box_error::BoxError;
use crate::buffer::implicit_sync_error::ImplicitSyncError;
use crate::fence::error::FenceError;
use crate::fence::usage::FenceUsage;

/// Why a submission could not begin. Nothing was submitted and no reservation changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The mapping is of memory that the buffer has left. Map the attachment again.
    #[error("the mapping of '{buffer}' is stale: map its attachment again")]
    Stale {
        /// Name of the buffer.
        buffer: String,
    },
    /// The mapping's importer kept a stale mapping for too long, or its callback panicked, so it
    /// was declared dead. Attach it again.
    #[error(
        "'{buffer}' cannot be used: its importer did not react to a move in time; attach it again"
    )]
    ImporterDead {
        /// Name of the buffer.
        buffer: String,
    },
    /// The mapping belongs to another device, so its object cannot be used here.
    #[error("the mapping of '{buffer}' belongs to another device")]
    ForeignMapping {
        /// Name of the buffer.
        buffer: String,
    },
    /// The buffer is a shadow, which is refreshed from the original: a write would be lost.
    #[error("'{buffer}' is a read-only copy of another buffer: write to the original")]
    WriteToShadow {
        /// Name of the buffer.
        buffer: String,
    },
    /// This thread already holds a reservation, so waiting for the buffer's might never end.
    #[error(
        "this thread has a submission that was neither committed nor dropped, or is in an invalidate callback: waiting for '{buffer}' might never end"
    )]
    WouldDeadlock {
        /// Name of the buffer.
        buffer: String,
    },
    /// A fence of this class has not signalled, and the device cannot wait for its kind of fence. Wait
    /// for [`SharedBuffer::ready`](crate::SharedBuffer::ready) first.
    #[error(
        "'{buffer}' is still in use ({usage:?}) by '{producer}', whose fence the device cannot wait for: wait until it is ready, then submit"
    )]
    NotReady {
        /// Name of the buffer.
        buffer: String,
        /// Class of the fence.
        usage: FenceUsage,
        /// The producer of the fence.
        producer: String,
    },
    /// A fence could not be converted for the device, or has failed.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// The dma-buf's own fences could not be read.
    #[error(transparent)]
    ImplicitSync(#[from] ImplicitSyncError),
    /// An operation of the device failed.
    #[error("{operation} failed")]
    Device {
        /// Name of the operation.
        operation: &'static str,
        /// Error of the operation.
        source: BoxError,
    },
}
