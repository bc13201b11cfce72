//! What a buffer asks of the residency that keeps it.

use std::fmt;

use crate::memory::ledger::Charge;
use crate::memory::no_room_error::ResidencyError;
use crate::memory::placement::Placement;

/// How hard room is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Force {
    /// A buffer that has just come back stays where it is.
    Gently,
    /// Every buffer that is not pinned is moved away if need be.
    Firmly,
}

/// Keeps a buffer within a budget: makes room for its memory, and is told what happens to the buffer.
///
/// Nothing of the buffer is locked during a call, except in [`began_move`](Self::began_move).
pub(crate) trait Keeper: Send + Sync + fmt::Debug {
    /// Enters `bytes` for a place. Moves other buffers out of it if there is no room for them.
    fn make_room(
        &self,
        placement: Placement,
        bytes: u64,
        force: Force,
    ) -> Result<Charge, ResidencyError>;

    /// The buffer was moved away and is about to be mapped: brings it back if there is room. It is
    /// used where it is otherwise.
    fn bring_back(&self);

    /// The buffer has begun a move. Its reservation is locked.
    fn began_move(&self);

    /// Pins of the buffer have gone; others may be left.
    fn unpinned(&self);

    /// Memory that the buffer had left was let go.
    fn memory_let_go(&self);

    /// The buffer is being dropped.
    fn buffer_gone(&self);
}
