//! Why a buffer was not moved or not revoked.

use crate::buffer::implicit_sync_error::ImplicitSyncError;
use crate::memory::export_error::ExportError;
use crate::memory::no_room_error::ResidencyError;
use crate::memory::pins::{PinReport, Pins};
use crate::memory::placement::Placements;

/// Why a buffer was not moved. It is where it was, and no importer was disturbed (but for
/// [`Copy`](MoveError::Copy)).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoveError {
    /// The exporter cannot move memory, or the buffer came from elsewhere.
    #[error("'{buffer}' cannot move: its exporter is static")]
    Static {
        /// Name of the buffer.
        buffer: String,
    },
    /// Someone holds it where it is (the kernel's `-EBUSY`).
    #[error("'{buffer}' cannot move: pinned by {}", Pins(pins))]
    Pinned {
        /// Name of the buffer.
        buffer: String,
        /// The pins that hold it.
        pins: Vec<PinReport>,
    },
    /// The move before it has not submitted its copy.
    #[error("'{buffer}' is being moved already")]
    Moving {
        /// Name of the buffer.
        buffer: String,
    },
    /// It was taken away.
    #[error("'{buffer}' was revoked by its owner")]
    Revoked {
        /// Name of the buffer.
        buffer: String,
    },
    /// The exporter has none of the placements that would do.
    #[error("'{buffer}' cannot be in {wanted}: its exporter has {offered}")]
    NoPlacement {
        /// Name of the buffer.
        buffer: String,
        /// Where it should be.
        wanted: Placements,
        /// Where it can be.
        offered: Placements,
    },
    /// There is no room.
    #[error("there is no room for '{buffer}'")]
    NoSpace {
        /// Name of the buffer.
        buffer: String,
        /// Error of the residency.
        source: Box<ResidencyError>,
    },
    /// The exporter could not make the new memory.
    #[error("no memory could be made for '{buffer}' to move to")]
    Export {
        /// Name of the buffer.
        buffer: String,
        /// Error of the exporter.
        source: ExportError,
    },
    /// The copy could not be submitted. The buffer is where it was, at a new generation.
    #[error("the content of '{buffer}' could not be copied; it stays where it was")]
    Copy {
        /// Name of the buffer.
        buffer: String,
        /// Error of the exporter.
        source: ExportError,
    },
    /// The copy must wait for the dma-buf's own fences, and those could not be asked for.
    #[error(transparent)]
    ImplicitSync(#[from] ImplicitSyncError),
    /// This thread holds a reservation.
    #[error(
        "'{buffer}' cannot move now: this thread has an open submission, or is in an invalidate callback"
    )]
    WouldDeadlock {
        /// Name of the buffer.
        buffer: String,
    },
}

/// Why a buffer was not revoked, or not given back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// Static attachments and exported descriptors cannot be taken away
    /// (`dma_buf_attach_revocable`).
    #[error("'{buffer}' cannot be revoked: these are not told: {}", importers.join(", "))]
    NotRevocable {
        /// Name of the buffer.
        buffer: String,
        /// The importers that are attached without a callback.
        importers: Vec<String>,
    },
    /// A move is under way whose copy waits for fences.
    #[error("'{buffer}' is being moved: revoke it when it is ready")]
    Moving {
        /// Name of the buffer.
        buffer: String,
    },
    /// It was revoked before.
    #[error("'{buffer}' is revoked already")]
    Revoked {
        /// Name of the buffer.
        buffer: String,
    },
    /// The buffer is not revoked.
    #[error("'{buffer}' is not revoked")]
    NotRevoked {
        /// Name of the buffer.
        buffer: String,
    },
    /// Importers did not let go in time. They are taken for dead, and the memory is kept for them.
    #[error(
        "'{buffer}' is still used: mapped by [{}], waiting for the fences of [{}]; its memory is kept",
        importers.join(", "),
        fences.join(", ")
    )]
    Timeout {
        /// Name of the buffer.
        buffer: String,
        /// The importers that still map it.
        importers: Vec<String>,
        /// The producers whose fences are pending.
        fences: Vec<String>,
    },
    /// This thread holds a reservation.
    #[error(
        "'{buffer}' cannot be revoked now: this thread has an open submission, or is in an invalidate callback"
    )]
    WouldDeadlock {
        /// Name of the buffer.
        buffer: String,
    },
}
