//! Errors of fences.

use std::io;

use crate::box_error::BoxError;
use crate::fence::descriptor_error::{DmaBufError, SyncFileError};

/// A fence that failed, or that cannot be waited for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FenceError {
    /// The fence did not signal within the timeout.
    #[error("the fence of '{producer}' did not signal in time")]
    Timeout {
        /// The producer that should have signalled it.
        producer: String,
    },
    /// The fence signalled with an error: its work did not complete.
    #[error("the work of '{producer}' failed")]
    Failed {
        /// The producer that signalled it.
        producer: String,
        /// The fence's error.
        source: io::Error,
    },
    /// The fence did not signal by its deadline ([`Fence::with_deadline`](crate::Fence::with_deadline)).
    /// It stays failed, even if its work completes later.
    #[error("'{producer}' did not signal its fence by the deadline")]
    Expired {
        /// The producer that should have signalled it.
        producer: String,
    },
    /// The producer was destroyed without signalling.
    #[error("'{producer}' went away before it signalled its fence")]
    ProducerGone {
        /// The producer that went away.
        producer: String,
    },
    /// This thread holds a reservation: it has an open submission, or is in an invalidate callback.
    #[error(
        "this thread may not wait for '{producer}' now: it has an open submission, or is in an invalidate callback"
    )]
    WouldDeadlock {
        /// The producer of the fence.
        producer: String,
    },
    /// This kind of fence has no sync_file. Wait for it on the CPU before submitting work that needs it.
    #[error(
        "a fence of '{producer}' cannot become a sync_file: wait for it on the CPU before submitting work that needs it"
    )]
    NoSyncFile {
        /// The producer of the fence.
        producer: String,
    },
    /// A system call failed.
    #[error("{operation} failed")]
    Os {
        /// The system call.
        operation: &'static str,
        /// The error of the system call.
        source: io::Error,
    },
    /// A sync_file operation failed.
    #[error(transparent)]
    SyncFile(#[from] SyncFileError),
    /// Adding the fence to a dma-buf failed.
    #[error(transparent)]
    DmaBuf(#[from] DmaBufError),
    /// A call to the device's driver failed.
    #[error("{operation} failed for a fence of '{producer}'")]
    Device {
        /// The call that failed.
        operation: &'static str,
        /// The producer of the fence.
        producer: String,
        /// Error returned by the device.
        source: BoxError,
    },
}
