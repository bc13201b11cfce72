//! Errors of attaching, mapping and pinning a buffer.

use crate::buffer::implicit_sync_error::ImplicitSyncError;
use crate::buffer::move_error::MoveError;
use crate::fence::descriptor_error::DmaBufError;
use crate::memory::export_error::ExportError;
use crate::memory::import_error::ImportError;

/// Why a buffer could not be attached to a device. The buffer is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// The importer refused the buffer.
    #[error("'{buffer}' cannot be attached")]
    Import {
        /// Name of the buffer.
        buffer: String,
        /// Error of the importer.
        source: ImportError,
    },
    /// The buffer cannot be placed where the device reaches it, or its layout does not suit the device
    /// (the kernel's `-EOPNOTSUPP`).
    #[error("'{buffer}' cannot be attached to {importer}: {reason}")]
    Unreachable {
        /// Name of the buffer.
        buffer: String,
        /// Name of the importer.
        importer: String,
        /// What is wrong with the memory.
        reason: String,
    },
    /// The buffer must be moved to where the device reaches it, and the move failed.
    #[error("'{buffer}' cannot be moved to where {importer} reaches it")]
    Move {
        /// Name of the buffer.
        buffer: String,
        /// Name of the importer.
        importer: String,
        /// Why the move failed.
        source: Box<MoveError>,
    },
    /// The exporter failed to do the work that it had deferred to the first use
    /// ([`Exporter::prepare`](crate::Exporter::prepare)). A retry may succeed.
    #[error("the memory of '{buffer}' cannot be prepared for its first use")]
    Prepare {
        /// Name of the buffer.
        buffer: String,
        /// Error of the exporter.
        source: Box<ExportError>,
    },
    /// The exporter refused the pin that comes with the attachment.
    #[error("'{buffer}' cannot be pinned for the attachment")]
    Pin {
        /// Name of the buffer.
        buffer: String,
        /// Error of the exporter.
        source: ExportError,
    },
    /// The copy of a move still waits for fences. Try again when the buffer is ready.
    #[error("'{buffer}' is being moved: attach it when it is ready")]
    Moving {
        /// Name of the buffer.
        buffer: String,
    },
    /// The buffer is revoked (the kernel's `-ENODEV`).
    #[error("'{buffer}' was revoked by its owner")]
    Revoked {
        /// Name of the buffer.
        buffer: String,
    },
    /// This thread holds a reservation.
    #[error(
        "'{buffer}' cannot be attached now: this thread has an open submission, or is in an invalidate callback"
    )]
    WouldDeadlock {
        /// Name of the buffer.
        buffer: String,
    },
    /// The buffer's fences could not be added to the dma-buf, where the holder of the descriptors finds
    /// them.
    #[error(
        "the receiver would not see the fences of '{buffer}': export it explicitly, and send sync_files with it"
    )]
    ImplicitSync {
        /// Name of the buffer.
        buffer: String,
        /// Why the fences could not be exchanged.
        source: ImplicitSyncError,
    },
    /// The buffer's descriptors could not be duplicated.
    #[error("the descriptors of '{buffer}' cannot be duplicated")]
    Export {
        /// Name of the buffer.
        buffer: String,
        /// Error of the dma-buf operation.
        source: DmaBufError,
    },
}

/// Why an attachment could not be mapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// The importer refused the backing.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The exporter failed to do the work that it had deferred to the first use
    /// ([`Exporter::prepare`](crate::Exporter::prepare)). A retry may succeed.
    #[error("the memory of '{buffer}' cannot be prepared for its first use")]
    Prepare {
        /// Name of the buffer.
        buffer: String,
        /// Error of the exporter.
        source: Box<ExportError>,
    },
    /// The buffer cannot be placed where the device reaches it.
    #[error("'{buffer}' cannot be mapped by {importer}: {reason}")]
    Unreachable {
        /// Name of the buffer.
        buffer: String,
        /// Name of the importer.
        importer: String,
        /// What is wrong with the memory.
        reason: String,
    },
    /// The buffer must be moved to where the device reaches it, and the move failed.
    #[error("the buffer cannot be moved to where the device reaches it")]
    Move {
        /// Why the move failed.
        source: Box<MoveError>,
    },
    /// The buffer is revoked (the kernel's `-ENODEV`).
    #[error("'{buffer}' was revoked by its owner")]
    Revoked {
        /// Name of the buffer.
        buffer: String,
    },
    /// The importer kept a stale mapping for too long, or its callback panicked. Attach it again.
    #[error(
        "{importer} was declared dead: it did not react to a move of '{buffer}' in time; attach it again"
    )]
    Dead {
        /// Name of the buffer.
        buffer: String,
        /// Name of the importer.
        importer: String,
    },
    /// The attachment's callback requested a detach.
    #[error("'{buffer}' was detached from inside an invalidate callback")]
    Detached {
        /// Name of the buffer.
        buffer: String,
    },
    /// The buffer must be mapped again, and this thread holds a reservation.
    #[error(
        "'{buffer}' cannot be mapped now: this thread has an open submission, or is in an invalidate callback"
    )]
    WouldDeadlock {
        /// Name of the buffer.
        buffer: String,
    },
    /// At each attempt, the buffer moved before it was mapped.
    #[error("'{buffer}' moves faster than it can be mapped")]
    Restless {
        /// Name of the buffer.
        buffer: String,
    },
}

/// Why a buffer could not be pinned. The buffer has no new pin; it may have moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// The mapping is of memory that the buffer has left. Map the attachment again.
    #[error("the mapping of '{buffer}' is stale: map its attachment again")]
    Stale {
        /// Name of the buffer.
        buffer: String,
    },
    /// No memory suits all attachments (the kernel's `-EINVAL`).
    #[error("'{buffer}' cannot be pinned for {importer}: {reason}")]
    Unreachable {
        /// Name of the buffer.
        buffer: String,
        /// The importer that asked for the pin.
        importer: String,
        /// What is wrong with the memory.
        reason: String,
    },
    /// The buffer must be moved before it is pinned, and the move failed.
    #[error("the buffer cannot be moved to memory where it can be pinned")]
    Move {
        /// Why the move failed.
        source: Box<MoveError>,
    },
    /// The copy of a move still waits for fences. Try again when the buffer is ready.
    #[error("'{buffer}' is being moved: pin it when it is ready")]
    Moving {
        /// Name of the buffer.
        buffer: String,
    },
    /// The buffer is revoked. An attachment that was pinned at the revocation stays revoked.
    #[error("'{buffer}' was revoked by its owner")]
    Revoked {
        /// Name of the buffer.
        buffer: String,
    },
    /// The importer was declared dead. Attach it again.
    #[error(
        "{importer} was declared dead: it did not react to a move of '{buffer}' in time; attach it again"
    )]
    Dead {
        /// Name of the buffer.
        buffer: String,
        /// Name of the importer.
        importer: String,
    },
    /// The attachment's callback requested a detach.
    #[error("'{buffer}' was detached from inside an invalidate callback")]
    Detached {
        /// Name of the buffer.
        buffer: String,
    },
    /// The exporter refused the pin.
    #[error("the exporter of '{buffer}' refuses the pin")]
    Exporter {
        /// Name of the buffer.
        buffer: String,
        /// Error of the exporter.
        source: ExportError,
    },
    /// This thread holds a reservation.
    #[error(
        "'{buffer}' cannot be pinned now: this thread has an open submission, or is in an invalidate callback"
    )]
    WouldDeadlock {
        /// Name of the buffer.
        buffer: String,
    },
}
