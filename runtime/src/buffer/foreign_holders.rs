//! Foreign holders: users of a buffer that the library's fences do not reach.

use crate::access::Access;
use crate::fence::Fence;
use crate::fence::set::FenceSet;
use crate::locks::{AtomicUsize, Mutex, Ordering, lock};

/// The number of a buffer's foreign holders, and the fences that could not be published to them yet.
#[derive(Debug, Default)]
pub(crate) struct ForeignHolders {
    /// Export guards and attachments with [`SyncMode::Implicit`](crate::SyncMode::Implicit).
    count: AtomicUsize,
    /// `None` for most buffers: no fence is unpublished.
    owed: Mutex<Option<Box<Owed>>>,
}

impl ForeignHolders {
    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    pub(crate) fn add(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn remove(&self) {
        let before = self.count.fetch_sub(1, Ordering::SeqCst);
        if before == 1 {
            // The last holder is gone, so no one needs these fences.
            drop(self.take_owed());
        }
    }

    /// Keeps a fence that could not be published, for the next attempt.
    pub(crate) fn owe(&self, access: Access, fence: Fence) {
        let mut owed = lock(&self.owed);
        // Checked with the list locked: the last holder is removed first and empties the list then.
        if self.any() {
            owed.get_or_insert_default().of(access).insert(fence);
        }
    }

    pub(crate) fn take_owed(&self) -> Option<Box<Owed>> {
        lock(&self.owed).take()
    }
}

/// Fences of uses that are still to be added to the dma-buf.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    reads: FenceSet,
    writes: FenceSet,
}

impl Owed {
    pub(crate) fn of(&mut self, access: Access) -> &mut FenceSet {
        match access {
            Access::Read => &mut self.reads,
            Access::Write => &mut self.writes,
        }
    }
}
