//! Fences that cannot be waited for, or that ended in an error.

use std::io;

use crate::box_error::BoxError;
use crate::fence::descriptor_error::{DmaBufError, SyncFileError};

/// A fence that cannot be waited for, or that ended in an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FenceError {
    /// The time limit passed first.
    #[error("the fence of '{producer}' did not signal in time")]
    Timeout {
        /// The producer that should have signalled it.
        producer: String,
    },
    /// The fence signalled with an error: the work behind it did not complete.
    #[error("the work of '{producer}' failed")]
    Failed {
        /// The producer that signalled it.
        producer: String,
        /// Why.
        source: io::Error,
    },
    /// Its deadline passed first ([`Fence::with_deadline`](crate::Fence::with_deadline)). It stays
    /// failed, also if the work behind it is done later.
    #[error("'{producer}' has not signalled its fence by its deadline")]
    Expired {
        /// The producer that should have signalled it.
        producer: String,
    },
    /// The producer went away without signalling.
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
    /// There is no sync_file for this kind of fence; wait for it on the CPU before submitting.
    #[error(
        "a fence of '{producer}' cannot become a sync_file: wait for it before the work is submitted"
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
        /// The error of the producer's driver.
        source: io::Error,
    },
    /// A sync_file operation failed.
    #[error(transparent)]
    SyncFile(#[from] SyncFileError),
    /// The dma-buf to which it should go failed.
    #[error(transparent)]
    DmaBuf(#[from] DmaBufError),
    /// The device failed.
    #[error("{operation} failed for a fence of '{producer}'")]
    Device {
        /// The device's operation.
        operation: &'static str,
        /// The producer of the fence.
        producer: String,
        /// The device's error.
        source: BoxError,
    },
}
