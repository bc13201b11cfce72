//! Foreign holders: users of a buffer that the library's fences do not reach.

use smallvec::SmallVec;

use crate::access::Access;
use crate::fence::Fence;
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

    /// Counts one more holder. The count ends with the result, so that an error or a panic in a timeline
    /// does not leave it behind.
    pub(crate) fn counted(&self) -> Counted<'_> {
        self.count.fetch_add(1, Ordering::SeqCst);
        Counted(self)
    }

    pub(crate) fn remove(&self) {
        // Counted with the list locked: what a new holder is owed comes after its count.
        let mut owed = lock(&self.owed);
        let before = self.count.fetch_sub(1, Ordering::SeqCst);
        // If the last holder is gone, no one needs these fences.
        let unneeded = if before == 1 { owed.take() } else { None };
        drop(owed);
        drop(unneeded);
    }

    /// Keeps a fence that could not be published, for the next attempt.
    pub(crate) fn owe(&self, access: Access, fence: Fence) {
        let mut owed = lock(&self.owed);
        // Checked with the list locked: the last holder is removed first and empties the list then.
        if self.any() {
            let fences = owed.get_or_insert_default();
            if !fences
                .iter()
                .any(|(of, known)| *of == access && known.supersedes(&fence))
            {
                fences.push((access, fence));
            }
        }
    }

    /// The fences that are still to be published. They stay in the list, so that another thread that
    /// publishes meanwhile does not find it empty.
    pub(crate) fn owed(&self) -> Owed {
        lock(&self.owed).as_deref().cloned().unwrap_or_default()
    }

    /// Removes a fence that was published, or that is over.
    pub(crate) fn settled(&self, access: Access, fence: &Fence) {
        let mut removed = Owed::new();
        let mut owed = lock(&self.owed);
        if let Some(fences) = &mut *owed {
            let is_it = |(of, known): &(Access, Fence)| *of == access && fence.supersedes(known);
            while let Some(index) = fences.iter().position(is_it) {
                removed.push(fences.swap_remove(index));
            }
            if fences.is_empty() {
                *owed = None;
            }
        }
        drop(owed);
    }
}

/// A holder that is counted until this is dropped, or for good with [`keep`](Self::keep).
pub(crate) struct Counted<'a>(&'a ForeignHolders);

impl Counted<'_> {
    /// Leaves the holder in the count.
    pub(crate) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.remove();
    }
}

/// Fences of uses that are still to be added to the dma-buf.
pub(crate) type Owed = SmallVec<[(Access, Fence); 2]>;
