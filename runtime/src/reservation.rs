//! The fences of one buffer, and the lock that makes "check, submit, add the fence" one step.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::{self, ThreadId};

use smallvec::SmallVec;

use crate::{Access, AttachmentId, Fence, FenceSet, FenceStatus};

/// What a fence in a reservation stands for; the kernel's `enum dma_resv_usage`. Asking for a class
/// gives it and all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FenceUsage {
    /// The buffer's content is being moved or cleared (`DMA_RESV_USAGE_KERNEL`): everyone waits.
    Move,
    /// A write (`DMA_RESV_USAGE_WRITE`).
    Write,
    /// A read (`DMA_RESV_USAGE_READ`).
    Read,
    /// Work that nobody else needs to wait for, but that must be over before the memory goes
    /// (`DMA_RESV_USAGE_BOOKKEEP`).
    Bookkeep,
}

impl FenceUsage {
    /// The class whose fences a new access must wait for (`dma_resv_usage_rw`): a writer waits for
    /// readers and writers, a reader for writers.
    pub fn waited_by(access: Access) -> Self {
        match access {
            Access::Read => Self::Write,
            Access::Write => Self::Read,
        }
    }
}

impl From<Access> for FenceUsage {
    fn from(access: Access) -> Self {
        match access {
            Access::Read => Self::Read,
            Access::Write => Self::Write,
        }
    }
}

/// The age of a submission among all that lock reservations: the smaller, the older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

impl Ticket {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Why a reservation was not locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockRefused {
    /// An older submission holds it: let go of everything, wait, and begin again (Wait-Die).
    Die,
    /// This very thread holds it, through another submission.
    HeldByThisThread,
}

#[derive(Debug)]
struct Owner {
    ticket: Ticket,
    thread: ThreadId,
}

#[derive(Debug, Default)]
struct LockState {
    owner: Option<Owner>,
    /// Threads that wait for the lock. A wake-up is a system call, made only if there are any.
    waiting: usize,
}

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
    lock: Mutex<LockState>,
    released: Condvar,
    entries: Mutex<SmallVec<[Entry; 4]>>,
}

impl Reservation {
    /// Locks for `ticket`. A holder that is younger is waited for, an older one is not: so a ring of
    /// waiters, each holding what the next one wants, cannot form (Wait-Die, the kernel's
    /// `DEFINE_WD_CLASS(reservation_ww_class)`).
    pub(crate) fn lock(&self, ticket: Ticket) -> Result<(), LockRefused> {
        self.lock_inner(ticket, false)
    }

    /// Locks for `ticket`, waiting for whoever holds it. Only for a caller that holds no other
    /// reservation (the kernel's `dma_resv_lock_slow`).
    pub(crate) fn lock_slow(&self, ticket: Ticket) -> Result<(), LockRefused> {
        self.lock_inner(ticket, true)
    }

    fn lock_inner(&self, ticket: Ticket, slow: bool) -> Result<(), LockRefused> {
        let thread = thread::current().id();
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(holder) = &lock.owner {
            if holder.thread == thread {
                return Err(LockRefused::HeldByThisThread);
            }
            if !slow && holder.ticket < ticket {
                return Err(LockRefused::Die);
            }
            lock.waiting += 1;
            lock = self
                .released
                .wait(lock)
                .unwrap_or_else(PoisonError::into_inner);
            lock.waiting -= 1;
        }
        lock.owner = Some(Owner { ticket, thread });
        Ok(())
    }

    pub(crate) fn unlock(&self) {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.owner = None;
        let is_awaited = lock.waiting > 0;
        drop(lock);
        if is_awaited {
            self.released.notify_all();
        }
    }

    /// Adds a fence. One that it supersedes is replaced, and those that have signalled go, so a
    /// steady use does not grow the list.
    pub(crate) fn add(&self, usage: FenceUsage, fence: Fence, attachment: Option<AttachmentId>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| {
            // Promotion only: a write is not replaced by a later read of the same timeline.
            let replaced = entry.attachment == attachment
                && usage <= entry.usage
                && fence.supersedes(&entry.fence);
            !replaced && entry.fence.status() != FenceStatus::Signalled
        });
        entries.push(Entry {
            usage,
            fence,
            attachment,
        });
    }

    /// Calls `visit` for every fence of class `usage` or before it.
    pub(crate) fn visit(&self, usage: FenceUsage, mut visit: impl FnMut(&Fence, FenceUsage)) {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries.iter().filter(|entry| entry.usage <= usage) {
            visit(&entry.fence, entry.usage);
        }
    }

    /// The fences of class `usage` and of those before it that have not signalled yet, at this
    /// moment. Failed ones are among them.
    pub fn fences(&self, usage: FenceUsage) -> FenceSet {
        let mut set = FenceSet::new();
        self.visit(usage, |fence, _| {
            if fence.status() != FenceStatus::Signalled {
                set.insert(fence.clone());
            }
        });
        set
    }

    /// The fences that one attachment has added.
    pub(crate) fn fences_of(&self, attachment: AttachmentId) -> FenceSet {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .iter()
            .filter(|entry| entry.attachment == Some(attachment))
            .map(|entry| entry.fence.clone())
            .collect()
    }
}
