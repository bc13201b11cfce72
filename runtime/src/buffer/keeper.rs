//! The interface of a residency to its buffers.

use std::fmt;
use std::sync::Arc;

use crate::memory::ledger::Charge;
use crate::memory::no_room_error::ResidencyError;
use crate::memory::placement::Placement;

/// Which buffers may be moved to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Force {
    /// Not those that have just come back.
    Gently,
    /// Every buffer that is not pinned.
    Firmly,
}

/// Keeps a buffer within a budget: makes room for its memory, and is notified of its changes.
///
/// No lock of the buffer is held during a call, except in [`changed_placement`](Self::changed_placement).
pub(crate) trait Keeper: Send + Sync + fmt::Debug {
    /// Charges `bytes` to a placement. Moves other buffers out of it if there is no room.
    fn make_room(
        &self,
        placement: Placement,
        bytes: u64,
        force: Force,
    ) -> Result<Charge, ResidencyError>;

    /// Moves an evicted buffer that is about to be mapped back, if there is room. Otherwise it is used
    /// where it is.
    fn bring_back(&self);

    /// Called when the buffer has changed its placement, with its reservation locked: it has begun a move,
    /// or a move was undone.
    fn changed_placement(self: Arc<Self>);

    /// Called when pins of the buffer were dropped; others may be left.
    fn unpinned(&self);

    /// Called when memory that the buffer had left was released.
    fn memory_let_go(&self);

    /// Called when the buffer is being dropped.
    fn buffer_gone(&self);
}
