//! The fences of one buffer, and the lock that makes "check, submit, add the fence" atomic.

use smallvec::SmallVec;

use crate::access::Access;
use crate::fence::set::FenceSet;
use crate::fence::status::FenceStatus;
use crate::fence::usage::FenceUsage;
use crate::fence::{Fence, held_reservations};
use crate::ids::AttachmentId;
use crate::locks::{AtomicU32, AtomicU64, Condvar, Mutex, Ordering, lock, wait_briefly};

/// The age of a submission among all that lock reservations. A smaller ticket is older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

impl Ticket {
    /// The ticket of a thread that locks only one reservation. Such a thread holds nothing while it
    /// waits, so it is never part of a deadlock. As a holder it is the youngest, so all others wait for
    /// it. It takes no number, so threads that use different buffers share no counter.
    pub(crate) const ALONE: Self = Self(u64::MAX);

    pub(crate) fn next() -> Self {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        Self(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }
}

/// An older submission holds the reservation. The caller must unlock everything that it holds, wait, and
/// start again (Wait-Die).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Die;

/// Fences that were removed from a reservation.
pub(crate) type Removed = SmallVec<[Fence; 4]>;

/// Fences with their usage, as they were at one moment.
pub(crate) type Snapshot = SmallVec<[(FenceUsage, Fence); 4]>;

#[derive(Debug)]
struct Entry {
    usage: FenceUsage,
    fence: Fence,
    attachment: Option<AttachmentId>,
}

/// The fences of one buffer with their usage, like the kernel's `struct dma_resv`.
///
/// Applications do not lock it; [`Submission`](crate::Submission) does.
#[derive(Debug, Default)]
pub struct Reservation {
    /// Ticket of the holder of the lock; 0 if it is free. One compare-exchange takes a free lock.
    holder: AtomicU64,
    /// Number of the thread that has locked it; 0 if it is free, and for a moment after it was locked.
    holder_thread: AtomicU64,
    /// Number of threads that wait for the lock. A wake-up is a system call, and is skipped for 0.
    waiting: AtomicU32,
    wake: Mutex<()>,
    released: Condvar,
    /// Has room for a writer and a reader. More entries are allocated once, because the list keeps its
    /// capacity.
    entries: Mutex<SmallVec<[Entry; 2]>>,
}

impl Reservation {
    /// Locks for `ticket`. Waits for a younger holder, and fails if the holder is older, so that no
    /// cycle of waiters can form (Wait-Die, the kernel's `DEFINE_WD_CLASS(reservation_ww_class)`).
    pub(crate) fn lock(&self, ticket: Ticket) -> Result<(), Die> {
        if self.try_lock(ticket) {
            return Ok(());
        }
        self.lock_contended(ticket, false)
    }

    /// Locks for `ticket`, and waits for any holder. The caller must hold no other reservation (the
    /// kernel's `dma_resv_lock_slow`).
    #[inline]
    pub(crate) fn lock_slow(&self, ticket: Ticket) {
        if !self.try_lock(ticket) {
            // A slow lock never fails.
            let _: Result<(), Die> = self.lock_contended(ticket, true);
        }
    }

    /// Locks only this reservation, and waits for any holder. `None` if this thread already holds a
    /// reservation, because the wait could deadlock.
    pub(crate) fn lock_alone(&self) -> Option<Locked<'_>> {
        if held_reservations::any() {
            return None;
        }
        self.lock_slow(Ticket::ALONE);
        Some(Locked(self))
    }

    /// Locks if the lock is free.
    #[inline]
    pub(crate) fn try_lock(&self, ticket: Ticket) -> bool {
        // Sequentially consistent with `waiting`, which the holder reads when it unlocks.
        let exchanged =
            self.holder
                .compare_exchange(0, ticket.0, Ordering::SeqCst, Ordering::Relaxed);
        if exchanged.is_ok() {
            self.locked_here();
        }
        exchanged.is_ok()
    }

    #[inline]
    fn locked_here(&self) {
        let thread = held_reservations::this_thread();
        self.holder_thread.store(thread, Ordering::Relaxed);
        held_reservations::locked(self.address());
    }

    /// Takes the lock over from a thread that has ended without unlocking it. The caller holds `wake`.
    fn take_over(&self, ticket: Ticket) -> bool {
        let holder = self.holder_thread.load(Ordering::Relaxed);
        // The second load comes after the end of that thread: had it unlocked this reservation and forgotten
        // another, its number would be gone from here.
        let is_abandoned = held_reservations::has_ended(holder)
            && self.holder_thread.load(Ordering::Relaxed) == holder;
        if is_abandoned {
            self.holder.store(ticket.0, Ordering::SeqCst);
            self.locked_here();
        }
        is_abandoned
    }

    #[cold]
    fn lock_contended(&self, ticket: Ticket, slow: bool) -> Result<(), Die> {
        let mut wake = lock(&self.wake);
        loop {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            if self.try_lock(ticket) {
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                return Ok(());
            }
            let holder = self.holder.load(Ordering::SeqCst);
            if holder != 0 && self.take_over(ticket) {
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                return Ok(());
            }
            if !slow && holder != 0 && holder < ticket.0 {
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                return Err(Die);
            }
            if holder != 0 {
                wake = wait_briefly(&self.released, wake);
            }
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[inline]
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Whether this is the reservation that this thread locked last.
    pub(crate) fn was_locked_last(&self) -> bool {
        held_reservations::last() == self.address()
    }

    #[inline]
    pub(crate) fn unlock(&self) {
        if held_reservations::any_has_ended()
            && self.holder_thread.load(Ordering::Relaxed) != held_reservations::this_thread()
        {
            // A thread that ends drops its submission late, when another has taken the lock over.
            held_reservations::unlocked();
            return;
        }
        self.holder_thread.store(0, Ordering::Relaxed);
        self.holder.swap(0, Ordering::SeqCst);
        held_reservations::unlocked();
        if self.waiting.load(Ordering::SeqCst) > 0 {
            // A waiter that saw the lock taken already waits, or holds `wake` and checks again.
            drop(lock(&self.wake));
            self.released.notify_all();
        }
    }

    /// Replaces a fence by another that signals with it.
    pub(crate) fn replace(&self, fence: &Fence, usage: FenceUsage, by: Fence) -> Removed {
        // Add first, so that one of them is there at every moment (I7).
        let mut removed = self.add(usage, by, None);
        removed.extend(self.remove(fence));
        removed
    }

    /// Removes a fence.
    pub(crate) fn remove(&self, fence: &Fence) -> Removed {
        let mut removed = Removed::new();
        let mut entries = lock(&self.entries);
        let mut index = 0;
        while let Some(entry) = entries.get(index) {
            if entry.fence.is_same(fence) {
                removed.push(entries.swap_remove(index).fence);
            } else {
                index += 1;
            }
        }
        removed
    }

    /// All fences with their usage, at this moment.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.snapshot_up_to(FenceUsage::Bookkeep)
    }

    /// All fences of class `usage` and the classes before it, at this moment. The status of a fence is
    /// asked for only of a snapshot, with the list unlocked, because a timeline may call the library.
    fn snapshot_up_to(&self, usage: FenceUsage) -> Snapshot {
        let entries = lock(&self.entries);
        let wanted = entries.iter().filter(|entry| entry.usage <= usage);
        wanted
            .map(|entry| (entry.usage, entry.fence.clone()))
            .collect()
    }

    /// All fences that have not signalled, of any usage, except `but`. Removes and drops none, so it may
    /// be called with the reservation locked.
    pub(crate) fn unfinished(&self, but: Option<&Fence>) -> FenceSet {
        let mut unfinished = FenceSet::new();
        for (_, fence) in self.snapshot() {
            let is_but = but.is_some_and(|but| fence.is_same(but));
            if !is_but && fence.status() != FenceStatus::Signalled {
                unfinished.insert(fence);
            }
        }
        unfinished
    }

    /// Adds a fence, and removes those that are no longer needed, so that the list does not grow with
    /// steady use: signalled fences, those that the new one supersedes, failed reads, and failed writes
    /// once there is a new write. Returns the removed fences. The caller drops them when nothing is
    /// locked, because the last fence of a device may destroy the device.
    #[must_use = "drop the fences only after the reservation is unlocked"]
    pub(crate) fn add(
        &self,
        usage: FenceUsage,
        fence: Fence,
        attachment: Option<AttachmentId>,
    ) -> Removed {
        let mut removed = Removed::new();
        self.add_into(usage, fence, attachment, &mut removed);
        removed
    }

    /// Like [`add`](Self::add), but puts the removed fences into `removed`.
    pub(crate) fn add_into<A: smallvec::Array<Item = Fence>>(
        &self,
        usage: FenceUsage,
        fence: Fence,
        attachment: Option<AttachmentId>,
        removed: &mut SmallVec<A>,
    ) {
        let mut others = Snapshot::new();
        {
            let mut entries = lock(&self.entries);
            let mut index = 0;
            while let Some(entry) = entries.get(index) {
                // A later read of the same timeline must not replace a write.
                let replaced = entry.attachment == attachment
                    && usage <= entry.usage
                    && fence.supersedes(&entry.fence);
                if replaced {
                    removed.push(entries.swap_remove(index).fence);
                } else {
                    others.push((entry.usage, entry.fence.clone()));
                    index += 1;
                }
            }
            entries.push(Entry {
                usage,
                fence,
                attachment,
            });
        }
        if !others.is_empty() {
            self.remove_over(others, usage, removed);
        }
    }

    /// Removes those of `others` that are over and no longer needed after a new fence of class `usage`.
    fn remove_over<A: smallvec::Array<Item = Fence>>(
        &self,
        mut others: Snapshot,
        usage: FenceUsage,
        removed: &mut SmallVec<A>,
    ) {
        let over = |before: FenceUsage, fence: &Fence| match fence.status() {
            FenceStatus::Pending => false,
            FenceStatus::Signalled => true,
            // A move copies what a failed write has left, so that write stays until a new one.
            FenceStatus::Failed(_) => {
                (before > FenceUsage::Write || usage == FenceUsage::Write) && fence.is_finished()
            }
        };
        others.retain(|(before, fence)| over(*before, fence));
        if !others.is_empty() {
            self.remove_all(&others, removed);
            removed.extend(others.into_iter().map(|(_, fence)| fence));
        }
    }

    /// Removes these fences of these classes.
    fn remove_all<A: smallvec::Array<Item = Fence>>(
        &self,
        all: &Snapshot,
        removed: &mut SmallVec<A>,
    ) {
        let mut entries = lock(&self.entries);
        let mut index = 0;
        while let Some(entry) = entries.get(index) {
            let mut all = all.iter();
            if all.any(|(usage, fence)| *usage == entry.usage && fence.is_same(&entry.fence)) {
                removed.push(entries.swap_remove(index).fence);
            } else {
                index += 1;
            }
        }
    }

    /// Calls `visit` for every fence that concerns an access: pending ones, and for a reader also writes
    /// that have failed. Failed writes do not concern a writer, because it replaces the content.
    pub(crate) fn visit_waited(&self, access: Access, mut visit: impl FnMut(&Fence, FenceUsage)) {
        for (usage, fence) in &self.snapshot_up_to(FenceUsage::waited_by(access)) {
            let concerns = match fence.status() {
                FenceStatus::Pending => true,
                FenceStatus::Signalled => false,
                FenceStatus::Failed(_) => access == Access::Read,
            };
            if concerns {
                visit(fence, *usage);
            }
        }
    }

    /// The fences that an access of this kind must wait for, at this moment. For a reader they include
    /// failed writes, which did not produce their content.
    pub fn waited_by(&self, access: Access) -> FenceSet {
        let mut set = FenceSet::new();
        self.visit_waited(access, |fence, _| set.insert(fence.clone()));
        set
    }

    /// The fences of class `usage` and the classes before it that have not signalled, at this moment.
    /// They include failed fences until those are removed.
    pub fn fences(&self, usage: FenceUsage) -> FenceSet {
        let mut pending = self.snapshot();
        let mut signalled = Snapshot::new();
        pending.retain(|(of, fence)| {
            let is_signalled = fence.status() == FenceStatus::Signalled;
            if is_signalled {
                signalled.push((*of, fence.clone()));
            }
            !is_signalled
        });
        if !signalled.is_empty() && !held_reservations::any() && self.try_lock(Ticket::ALONE) {
            let mut removed = Removed::new();
            self.remove_all(&signalled, &mut removed);
            self.unlock();
        }
        let wanted = pending.into_iter().filter(|(of, _)| *of <= usage);
        wanted.map(|(_, fence)| fence).collect()
    }

    /// The fences that one attachment has added.
    pub(crate) fn fences_of(&self, attachment: AttachmentId) -> FenceSet {
        let entries = lock(&self.entries);
        entries
            .iter()
            .filter(|entry| entry.attachment == Some(attachment))
            .map(|entry| entry.fence.clone())
            .collect()
    }
}

/// Guard of the only reservation that this thread holds. Dropping it unlocks.
#[derive(Debug)]
pub(crate) struct Locked<'a>(&'a Reservation);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.0.unlock();
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;

    #[test]
    fn an_unlocked_reservation_names_no_thread() {
        let reservation = Reservation::default();
        drop(reservation.lock_alone());
        assert_eq!(reservation.holder_thread.load(Ordering::Relaxed), 0);
    }
}
