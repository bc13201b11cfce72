//! Why a piece of work could not begin.

use crate::box_error::BoxError;
use crate::buffer::implicit_sync_error::ImplicitSyncError;
use crate::fence::error::FenceError;
use crate::fence::usage::FenceUsage;

/// Why a submission could not begin. Nothing was submitted and no reservation changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The mapping is of a backing that the buffer has left; map the attachment again.
    #[error("the mapping of '{buffer}' is stale: map its attachment again")]
    Stale {
        /// Name of the buffer.
        buffer: String,
    },
    /// The mapping's importer kept a stale mapping for too long, or its callback panicked: it is taken
    /// for dead. Attach it again.
    #[error(
        "'{buffer}' cannot be used: its importer did not react to a move in time; attach it again"
    )]
    ImporterDead {
        /// Name of the buffer.
        buffer: String,
    },
    /// The mapping is another device's: its object is of no use here.
    #[error("the mapping of '{buffer}' belongs to another device")]
    ForeignMapping {
        /// Name of the buffer.
        buffer: String,
    },
    /// The buffer is a shadow, which is kept like the buffer that it is a copy of: what is written into
    /// it would be lost.
    #[error("'{buffer}' is a copy of another buffer, for reading only: write to that one")]
    WriteToShadow {
        /// Name of the buffer.
        buffer: String,
    },
    /// This thread already holds the buffer's reservation: waiting for it would never end.
    #[error(
        "this thread has a submission that was neither committed nor dropped, or is in an invalidate callback: waiting for '{buffer}' might never end"
    )]
    WouldDeadlock {
        /// Name of the buffer.
        buffer: String,
    },
    /// A fence of this class is of a kind that the device cannot wait for by itself, and it has not
    /// signalled. Wait for [`SharedBuffer::ready`](crate::SharedBuffer::ready) first.
    #[error(
        "'{buffer}' is still in use ({usage:?}) by '{producer}', whose fence the device cannot wait for: wait until it is ready, then submit"
    )]
    NotReady {
        /// Name of the buffer.
        buffer: String,
        /// The class of the fence.
        usage: FenceUsage,
        /// The producer of the fence.
        producer: String,
    },
    /// A fence could not be converted for the device, or has failed.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// The fences that a dma-buf carries itself could not be looked at.
    #[error(transparent)]
    ImplicitSync(#[from] ImplicitSyncError),
    /// An operation of the device failed.
    #[error("{operation} failed")]
    Device {
        /// The device's operation.
        operation: &'static str,
        /// The error of the backend.
        source: BoxError,
    },
}
