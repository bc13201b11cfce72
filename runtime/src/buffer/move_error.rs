//! Errors of moving and revoking a buffer.

use crate::buffer::implicit_sync_error::ImplicitSyncError;
use crate::memory::export_error::ExportError;
use crate::memory::no_room_error::ResidencyError;
use crate::memory::pins::{PinReport, Pins};
use crate::memory::placement::Placements;

/// Why a buffer was not moved. It is where it was, and no importer was notified (except with
/// [`Copy`](MoveError::Copy)).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoveError {
    /// The exporter cannot move memory, or the buffer wraps a dma-buf from elsewhere.
    #[error("'{buffer}' cannot move: its exporter is static")]
    Static {
        /// Name of the buffer.
        buffer: String,
    },
    /// The buffer is pinned (the kernel's `-EBUSY`).
    #[error("'{buffer}' cannot move: pinned by {}", Pins(pins))]
    Pinned {
        /// Name of the buffer.
        buffer: String,
        /// The pins, each with its label and start.
        pins: Vec<PinReport>,
    },
    /// The previous move has not submitted its copy.
    #[error("'{buffer}' is already being moved")]
    Moving {
        /// Name of the buffer.
        buffer: String,
    },
    /// The buffer is revoked.
    #[error("'{buffer}' was revoked by its owner")]
    Revoked {
        /// Name of the buffer.
        buffer: String,
    },
    /// The exporter has none of the placements that would do.
    #[error("'{buffer}' cannot be placed in {wanted}: its exporter has {offered}")]
    NoPlacement {
        /// Name of the buffer.
        buffer: String,
        /// Placements that would do.
        wanted: Placements,
        /// Placements that the exporter has.
        offered: Placements,
    },
    /// The residency could not make room in its budget.
    #[error("there is no room for '{buffer}'")]
    NoSpace {
        /// Name of the buffer.
        buffer: String,
        /// Error of the residency.
        source: Box<ResidencyError>,
    },
    /// The exporter could not allocate the new memory.
    #[error("the new memory for '{buffer}' could not be allocated")]
    Export {
        /// Name of the buffer.
        buffer: String,
        /// Error of the exporter.
        source: ExportError,
    },
    /// The copy could not be submitted. The buffer is where it was, at a new generation.
    #[error("the content of '{buffer}' could not be copied; the buffer stays where it was")]
    Copy {
        /// Name of the buffer.
        buffer: String,
        /// Error of the exporter.
        source: ExportError,
    },
    /// The copy must wait for the dma-buf's own fences, and those could not be read.
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

/// Why a buffer was not revoked, or why a revocation was not lifted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// Static attachments and exported descriptors cannot be revoked (`dma_buf_attach_revocable`).
    #[error("'{buffer}' cannot be revoked: it is attached without a callback by {}", importers.join(", "))]
    NotRevocable {
        /// Name of the buffer.
        buffer: String,
        /// The importers that are attached without a callback.
        importers: Vec<String>,
    },
    /// The copy of a move still waits for fences.
    #[error("'{buffer}' is being moved: revoke it when it is ready")]
    Moving {
        /// Name of the buffer.
        buffer: String,
    },
    /// The buffer was revoked before.
    #[error("'{buffer}' is already revoked")]
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
    /// Importers did not release the memory in time. They were declared dead, and the memory is kept
    /// for them.
    #[error(
        "'{buffer}' is still in use: mapped by [{}], waiting for the fences of [{}]; its memory is kept",
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
