//! The fences of one buffer, and the lock that makes "check, submit, add the fence" one step.

use smallvec::SmallVec;

use crate::access::Access;
use crate::fence::set::FenceSet;
use crate::fence::status::FenceStatus;
use crate::fence::usage::FenceUsage;
use crate::fence::{Fence, held_reservations};
use crate::ids::AttachmentId;
use crate::locks::{AtomicU32, AtomicU64, Condvar, Mutex, Ordering, lock, wait};

/// The age of a submission among all that lock reservations: the smaller, the older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

impl Ticket {
    /// For a thread that locks one reservation and no other: it holds nothing while it waits, so it
    /// is never in a ring, and is the youngest for everyone else, which is waited for. It takes no
    /// number, so threads that work on different buffers share nothing.
    pub(crate) const ALONE: Self = Self(u64::MAX);

    pub(crate) fn next() -> Self {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        Self(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }
}

/// An older submission holds the reservation: let go of everything, wait, and begin again (Wait-Die).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Die;

/// Fences that have left a reservation.
pub(crate) type Removed = SmallVec<[Fence; 4]>;

#[derive(Debug)]
struct Entry {
    usage: FenceUsage,
    fence: Fence,
    attachment: Option<AttachmentId>,
}

/// The fences of one buffer with what each stands for, like the kernel's `struct dma_resv`.
///
/// Applications do not lock it themselves: [`Submission`](crate::Submission) does.
#[derive(Debug, Default)]
pub struct Reservation {
    /// The ticket of the holder of the lock; 0 if it is free. One exchange locks a free one.
    holder: AtomicU64,
    /// Threads that wait for the lock. A wake-up is a system call, made only if there are any.
    waiting: AtomicU32,
    wake: Mutex<()>,
    released: Condvar,
    /// Room for a writer and a reader. What more takes is allocated once: the list keeps it.
    entries: Mutex<SmallVec<[Entry; 2]>>,
}

impl Reservation {
    /// Locks for `ticket`. A holder that is younger is waited for, an older one is not: so a ring of
    /// waiters, each holding what the next one wants, cannot form (Wait-Die, the kernel's
    /// `DEFINE_WD_CLASS(reservation_ww_class)`).
    pub(crate) fn lock(&self, ticket: Ticket) -> Result<(), Die> {
        if self.try_lock(ticket) {
            return Ok(());
        }
        self.lock_contended(ticket, false)
    }

    /// Locks for `ticket`, waiting for the holder. Only for a caller that holds no other
    /// reservation (the kernel's `dma_resv_lock_slow`).
    #[inline]
    pub(crate) fn lock_slow(&self, ticket: Ticket) {
        if !self.try_lock(ticket) {
            // A ticket that may wait for any other never dies.
            let _: Result<(), Die> = self.lock_contended(ticket, true);
        }
    }

    /// Locks this reservation and no other, waiting for the holder. `None` if this thread holds
    /// any: waiting might never end.
    pub(crate) fn lock_alone(&self) -> Option<Locked<'_>> {
        if held_reservations::any() {
            return None;
        }
        self.lock_slow(Ticket::ALONE);
        Some(Locked(self))
    }

    /// Locks if it is free.
    #[inline]
    pub(crate) fn try_lock(&self, ticket: Ticket) -> bool {
        // In one order with `waiting`, which the holder looks at when it lets go.
        let exchanged =
            self.holder
                .compare_exchange(0, ticket.0, Ordering::SeqCst, Ordering::Relaxed);
        if exchanged.is_ok() {
            held_reservations::locked(self.address());
        }
        exchanged.is_ok()
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
            if !slow && holder != 0 && holder < ticket.0 {
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                return Err(Die);
            }
            if holder != 0 {
                wake = wait(&self.released, wake);
            }
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[inline]
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Whether it is the last that this thread has locked.
    pub(crate) fn was_locked_last(&self) -> bool {
        held_reservations::last() == self.address()
    }

    #[inline]
    pub(crate) fn unlock(&self) {
        self.holder.swap(0, Ordering::SeqCst);
        held_reservations::unlocked();
        if self.waiting.load(Ordering::SeqCst) > 0 {
            // A waiter has seen the lock taken and waits, or holds this and looks again.
            drop(lock(&self.wake));
            self.released.notify_all();
        }
    }

    /// Puts a fence in the place of another that signals with it.
    pub(crate) fn replace(&self, fence: &Fence, usage: FenceUsage, by: Fence) -> Removed {
        // In this order: there is no moment at which neither is there (I7).
        let mut removed = self.add(usage, by, None);
        removed.extend(self.remove(fence));
        removed
    }

    /// Takes a fence out.
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

    /// Every fence with what it stands for, as it is now.
    pub(crate) fn snapshot(&self) -> Vec<(FenceUsage, Fence)> {
        let entries = lock(&self.entries);
        let all = entries.iter();
        all.map(|entry| (entry.usage, entry.fence.clone()))
            .collect()
    }

    /// Every fence that has not signalled, whatever it stands for, without `but`. Takes none out, so
    /// no fence's end comes with this, and it may be called with the reservation locked.
    pub(crate) fn unfinished(&self, but: Option<&Fence>) -> FenceSet {
        let entries = lock(&self.entries);
        entries
            .iter()
            .map(|entry| &entry.fence)
            .filter(|fence| fence.status() != FenceStatus::Signalled)
            .filter(|fence| !but.is_some_and(|but| fence.is_same(but)))
            .cloned()
            .collect()
    }

    /// Adds a fence. Fences that are no longer needed go, so a steady use does not grow the list:
    /// what has signalled, what the new one supersedes, failed reads, and failed writes once there
    /// is a new write. They are returned, to be dropped when nothing is locked: the last fence of a
    /// device takes the device with it.
    #[must_use = "dropped only when the reservation is unlocked"]
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

    /// Like `add`; fences that leave are put into `removed`.
    pub(crate) fn add_into<A: smallvec::Array<Item = Fence>>(
        &self,
        usage: FenceUsage,
        fence: Fence,
        attachment: Option<AttachmentId>,
        removed: &mut SmallVec<A>,
    ) {
        let mut entries = lock(&self.entries);
        let mut index = 0;
        while let Some(entry) = entries.get(index) {
            // Promotion only: a write is not replaced by a later read of the same timeline.
            let replaced = entry.attachment == attachment
                && usage <= entry.usage
                && fence.supersedes(&entry.fence);
            let over = || match entry.fence.status() {
                FenceStatus::Pending => false,
                FenceStatus::Signalled => true,
                // A move takes along what a failed write has left: only a write makes it right.
                FenceStatus::Failed(_) => {
                    entry.usage > FenceUsage::Write || usage == FenceUsage::Write
                }
            };
            if replaced || over() {
                removed.push(entries.swap_remove(index).fence);
            } else {
                index += 1;
            }
        }
        entries.push(Entry {
            usage,
            fence,
            attachment,
        });
    }

    /// Calls `visit` for every fence that an access must know of: those that are pending, and for a
    /// reader the writes that have failed. A writer is not told of them: writing is how the content
    /// becomes right again.
    pub(crate) fn visit_waited(&self, access: Access, mut visit: impl FnMut(&Fence, FenceUsage)) {
        let entries = lock(&self.entries);
        let usage = FenceUsage::waited_by(access);
        for entry in entries.iter().filter(|entry| entry.usage <= usage) {
            let concerns = match entry.fence.status() {
                FenceStatus::Pending => true,
                FenceStatus::Signalled => false,
                FenceStatus::Failed(_) => access == Access::Read,
            };
            if concerns {
                visit(&entry.fence, entry.usage);
            }
        }
    }

    /// The fences that an access of this kind has to wait for, at this moment. For a reader, writes
    /// that have failed are among them: what they should have written is not there.
    pub fn waited_by(&self, access: Access) -> FenceSet {
        let mut set = FenceSet::new();
        self.visit_waited(access, |fence, _| set.insert(fence.clone()));
        set
    }

    /// The fences of class `usage` and of those before it that have not signalled yet, at this
    /// moment. Failed ones are among them, until they are of no use to anyone.
    pub fn fences(&self, usage: FenceUsage) -> FenceSet {
        let mut removed = Removed::new();
        let mut set = FenceSet::new();
        let mut entries = lock(&self.entries);
        let mut index = 0;
        while let Some(entry) = entries.get(index) {
            if entry.fence.status() == FenceStatus::Signalled {
                removed.push(entries.swap_remove(index).fence);
                continue;
            }
            if entry.usage <= usage {
                set.insert(entry.fence.clone());
            }
            index += 1;
        }
        drop(entries);
        set
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

/// A reservation that is locked, alone, by this thread.
#[derive(Debug)]
pub(crate) struct Locked<'a>(&'a Reservation);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.0.unlock();
    }
}
