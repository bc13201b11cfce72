//! Why a buffer could not be attached, mapped or pinned.

use crate::buffer::implicit_sync_error::ImplicitSyncError;
use crate::buffer::move_error::MoveError;
use crate::fence::descriptor_error::DmaBufError;
use crate::memory::export_error::ExportError;
use crate::memory::import_error::ImportError;

/// Why a buffer could not be attached to a device. It is then as before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// The importer refused it.
    #[error("'{buffer}' cannot be attached")]
    Import {
        /// The buffer's name.
        buffer: String,
        /// Why.
        source: ImportError,
    },
    /// The buffer cannot be where the device reaches it, or not in a layout that the device takes
    /// (the kernel's `-EOPNOTSUPP`).
    #[error("'{buffer}' cannot be attached to {importer}: {reason}")]
    Unreachable {
        /// The buffer's name.
        buffer: String,
        /// The importer.
        importer: String,
        /// What is wrong with the memory.
        reason: String,
    },
    /// It must be moved to where the device reaches it, and that failed.
    #[error("'{buffer}' cannot be moved to where {importer} reaches it")]
    Move {
        /// The buffer's name.
        buffer: String,
        /// The importer.
        importer: String,
        /// Why.
        source: Box<MoveError>,
    },
    /// The exporter could not do what it had put off until the memory is used
    /// ([`Exporter::prepare`](crate::Exporter::prepare)). Trying again may help.
    #[error("the memory of '{buffer}' cannot be made ready for its first use")]
    Prepare {
        /// The buffer's name.
        buffer: String,
        /// Why.
        source: Box<ExportError>,
    },
    /// The exporter refused the pin that comes with the attachment.
    #[error("'{buffer}' cannot be pinned for the attachment")]
    Pin {
        /// The buffer's name.
        buffer: String,
        /// Why.
        source: ExportError,
    },
    /// A move is under way whose copy waits for fences. Try again when the buffer is ready.
    #[error("'{buffer}' is being moved: attach it when it is ready")]
    Moving {
        /// The buffer's name.
        buffer: String,
    },
    /// The buffer was taken away (the kernel's `-ENODEV`).
    #[error("'{buffer}' was revoked by its owner")]
    Revoked {
        /// The buffer's name.
        buffer: String,
    },
    /// This thread holds a reservation.
    #[error(
        "'{buffer}' cannot be attached now: this thread has an open submission, or is in an invalidate callback"
    )]
    WouldDeadlock {
        /// The buffer's name.
        buffer: String,
    },
    /// The fences could not be put into the dma-buf, where the holder of the descriptors finds them.
    #[error(
        "the other side would not see the fences of '{buffer}': export it explicitly, and send sync_files along"
    )]
    ImplicitSync {
        /// The buffer's name.
        buffer: String,
        /// Why.
        source: ImplicitSyncError,
    },
    /// The descriptors could not be duplicated.
    #[error("the descriptors of '{buffer}' cannot be given away")]
    Export {
        /// The buffer's name.
        buffer: String,
        /// Why.
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
    /// The exporter could not do what it had put off until the memory is used
    /// ([`Exporter::prepare`](crate::Exporter::prepare)). Trying again may help.
    #[error("the memory of '{buffer}' cannot be made ready for its first use")]
    Prepare {
        /// The buffer's name.
        buffer: String,
        /// Why.
        source: Box<ExportError>,
    },
    /// The buffer cannot be where the device reaches it.
    #[error("'{buffer}' cannot be mapped by {importer}: {reason}")]
    Unreachable {
        /// The buffer's name.
        buffer: String,
        /// The importer.
        importer: String,
        /// What is wrong with the memory.
        reason: String,
    },
    /// It must be moved to where the device reaches it, and that failed.
    #[error("the buffer cannot be moved to where it is needed")]
    Move {
        /// Why.
        source: Box<MoveError>,
    },
    /// The buffer was taken away (the kernel's `-ENODEV`).
    #[error("'{buffer}' was revoked by its owner")]
    Revoked {
        /// The buffer's name.
        buffer: String,
    },
    /// The importer kept a stale mapping for too long, or its callback panicked. Attach it again.
    #[error(
        "{importer} is taken for dead: it did not react to a move of '{buffer}' in time; attach it again"
    )]
    Dead {
        /// The buffer's name.
        buffer: String,
        /// The importer.
        importer: String,
    },
    /// The attachment's callback asked to be detached.
    #[error("'{buffer}' was detached from inside an invalidate callback")]
    Detached {
        /// The buffer's name.
        buffer: String,
    },
    /// A new mapping must be made, and this thread holds a reservation.
    #[error(
        "'{buffer}' cannot be mapped now: this thread has an open submission, or is in an invalidate callback"
    )]
    WouldDeadlock {
        /// The buffer's name.
        buffer: String,
    },
    /// The buffer moved each time before its mapping was made.
    #[error("'{buffer}' moves faster than it can be mapped")]
    Restless {
        /// The buffer's name.
        buffer: String,
    },
}

/// Why a buffer could not be pinned. It is then as before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// The mapping is of memory that the buffer has left; map the attachment again.
    #[error("the mapping of '{buffer}' is stale: map its attachment again")]
    Stale {
        /// The buffer's name.
        buffer: String,
    },
    /// There is no memory in which everyone who is attached could use it (the kernel's `-EINVAL`).
    #[error("'{buffer}' cannot be pinned for {importer}: {reason}")]
    Unreachable {
        /// The buffer's name.
        buffer: String,
        /// The importer that wants the pin.
        importer: String,
        /// What is wrong.
        reason: String,
    },
    /// It must be moved first, and that failed.
    #[error("the buffer cannot be moved to where it is to be pinned")]
    Move {
        /// Why.
        source: Box<MoveError>,
    },
    /// A move is under way whose copy waits for fences. Try again when the buffer is ready.
    #[error("'{buffer}' is being moved: pin it when it is ready")]
    Moving {
        /// The buffer's name.
        buffer: String,
    },
    /// The buffer was taken away; an attachment that was pinned then stays so.
    #[error("'{buffer}' was revoked by its owner")]
    Revoked {
        /// The buffer's name.
        buffer: String,
    },
    /// The importer is taken for dead; attach it again.
    #[error("{importer} is taken for dead: it did not react to a move of '{buffer}' in time")]
    Dead {
        /// The buffer's name.
        buffer: String,
        /// The importer.
        importer: String,
    },
    /// The attachment's callback asked to be detached.
    #[error("'{buffer}' was detached from inside an invalidate callback")]
    Detached {
        /// The buffer's name.
        buffer: String,
    },
    /// The exporter refused.
    #[error("the exporter of '{buffer}' refuses the pin")]
    Exporter {
        /// The buffer's name.
        buffer: String,
        /// Why.
        source: ExportError,
    },
    /// This thread holds a reservation.
    #[error(
        "'{buffer}' cannot be pinned now: this thread has an open submission, or is in an invalidate callback"
    )]
    WouldDeadlock {
        /// The buffer's name.
        buffer: String,
    },
}
