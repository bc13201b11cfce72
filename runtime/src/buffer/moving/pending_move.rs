//! A move whose copy is not submitted yet.

use std::fmt;
use std::sync::Arc;

use crate::buffer::moving::move_fence::MoveFence;
use crate::fence::set::FenceSet;
use crate::locks::Mutex;
use crate::memory::backing::Backing;

/// Everything that the second phase of a move needs.
pub(crate) struct PendingMove {
    pub(crate) old: Backing,
    pub(crate) new: Backing,
    /// The fences that the copy must wait for.
    pub(crate) after: FenceSet,
    pub(crate) fence: Arc<MoveFence>,
    /// Whether the residency wanted to move the buffer back before. It does again if this is undone.
    pub(crate) was_displaced: bool,
    /// Held by the thread that submits the copy.
    pub(crate) turn: Mutex<()>,
}

impl PendingMove {
    pub(crate) fn new(
        old: Backing,
        new: Backing,
        after: FenceSet,
        fence: Arc<MoveFence>,
        was_displaced: bool,
    ) -> Self {
        Self {
            old,
            new,
            after,
            fence,
            was_displaced,
            turn: Mutex::new(()),
        }
    }
}

impl fmt::Debug for PendingMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingMove")
            .field("old", &self.old)
            .field("new", &self.new)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}
