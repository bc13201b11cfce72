//! Holders of a buffer's descriptors that this library does not see.

use crate::access::Access;
use crate::fence::Fence;
use crate::fence::set::FenceSet;
use crate::locks::{AtomicUsize, Mutex, Ordering, lock};

/// Counts holders that do not see this library's fences, and keeps fences that could not be
/// published yet.
#[derive(Debug, Default)]
pub(crate) struct ForeignHolders {
    /// Export guards and attachments with [`SyncMode::Implicit`](crate::SyncMode::Implicit).
    count: AtomicUsize,
    /// `None`, for most buffers: nothing is owed.
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
            // The last holder is gone: the fences are of no use to anyone.
            drop(self.take_owed());
        }
    }

    /// Keeps a fence that could not be published, for the next try.
    pub(crate) fn owe(&self, access: Access, fence: Fence) {
        let mut owed = lock(&self.owed);
        // Checked with the list locked: the last holder empties it after it has left.
        if self.any() {
            owed.get_or_insert_default().of(access).insert(fence);
        }
    }

    pub(crate) fn take_owed(&self) -> Option<Box<Owed>> {
        lock(&self.owed).take()
    }
}

/// Fences of uses that are not among the dma-buf's own.
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
