//! One piece of work over any number of mappings.

pub(crate) mod implicit_fences;
pub(crate) mod used_mappings;

use std::marker::PhantomData;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::access::Access;
use crate::attachment::mapping::MappingUse;
use crate::buffer::BufferInner;
use crate::buffer::submit_error::SubmitError;
use crate::fence::reservation::Ticket;
use crate::fence::usage::FenceUsage;
use crate::fence::{Fence, held_reservations};
use crate::submission::implicit_fences::{ImplicitFences, Unpublished};
use crate::submission::used_mappings::UsedMappings;

/// Fences that were removed from a reservation.
type Removed = SmallVec<[Fence; 16]>;

/// Why a submission could not begin without waiting.
#[derive(Debug, thiserror::Error)]
pub enum TryBeginError {
    /// Another thread is between its `begin` and its `commit` on a buffer.
    #[error(transparent)]
    Contended(Contended),
    /// The work cannot be submitted.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

/// Another thread has locked a buffer's reservation.
#[derive(Debug, thiserror::Error)]
#[error("another thread is submitting work on '{}'", .buffer.name())]
pub struct Contended {
    buffer: Arc<BufferInner>,
}

impl Contended {
    /// Waits until that thread has unlocked the reservation. Another thread may have locked it by the
    /// next attempt.
    ///
    /// # Errors
    /// [`SubmitError::WouldDeadlock`]: this thread has an open submission.
    pub fn wait(self) -> Result<(), SubmitError> {
        match self.buffer.reservation().lock_alone() {
            Some(locked) => {
                drop(locked);
                Ok(())
            }
            None => Err(SubmitError::WouldDeadlock {
                buffer: self.buffer.name().to_owned(),
            }),
        }
    }
}

/// A piece of work that is about to be submitted. While it exists, the reservations of all its buffers
/// are locked, so no move can come between the check of its mappings and the fence that protects them.
///
/// Between [`begin`](Self::begin) and [`commit`](Self::commit) the caller hands the work to the device
/// and does nothing else: it must not block, allocate, import or ask a driver for a sync_file. Dropping
/// a submission adds no fence.
///
/// It stays on the thread that began it, because that thread owns the locks:
///
/// ```compile_fail
/// fn sent<T: Send>() {}
/// sent::<dmashare::Submission>();
/// ```
///
/// Backends wrap this type and turn the fences into their own waits.
#[derive(Debug)]
#[must_use = "dropping a submission unlocks the buffers without a fence"]
pub struct Submission {
    uses: UsedMappings,
    /// The dma-bufs' own fences, of buffers with foreign holders.
    implicit: ImplicitFences,
    // The locks belong to the thread that took them.
    _of_this_thread: PhantomData<*const ()>,
}

impl Submission {
    /// Locks the reservations of all buffers, and checks that every mapping is of its buffer's current
    /// backing. A buffer may be used several times; if one of its uses writes, the work waits for it as
    /// a writer.
    ///
    /// Blocks only while another thread is between its `begin` and its `commit` on one of the buffers.
    /// Allocates nothing in the steady state: each thread keeps the list for its next submission.
    ///
    /// For a buffer with foreign holders ([`SyncMode::Implicit`](crate::SyncMode::Implicit)) this reads
    /// the dma-buf's own fences first, and the work waits for those, too.
    ///
    /// # Errors
    /// - [`SubmitError::ImplicitSync`]: the dma-buf's own fences could not be read.
    /// - [`SubmitError::Stale`]: a mapping is of memory that its buffer has left.
    /// - [`SubmitError::ImporterDead`]: a mapping's importer did not react to an earlier move in time.
    /// - [`SubmitError::WouldDeadlock`]: this thread already has a submission, on any buffers, or is in
    ///   an invalidate callback. (Two threads with two submissions each would wait for each other.)
    pub fn begin(uses: impl IntoIterator<Item = MappingUse>) -> Result<Self, SubmitError> {
        let uses = sorted(uses)?;
        let implicit = ImplicitFences::collect(uses.iter())?;
        match one_of_each_buffer(&uses).nth(1) {
            Some(_) => lock_all(&uses),
            None => lock_first(&uses),
        }
        Self::of_locked(uses, implicit)
    }

    /// Like [`begin`](Self::begin), without waiting for other threads: for a backend that holds a lock
    /// of its own, a queue's or a card's. A thread that waits for that lock may hold one of the buffers.
    ///
    /// # Errors
    /// - [`TryBeginError::Contended`]: another thread is between its `begin` and its `commit` on one of
    ///   the buffers. Release the lock, [wait](Contended::wait), and try again.
    /// - [`TryBeginError::Submit`]: as [`begin`](Self::begin).
    pub fn try_begin(uses: impl IntoIterator<Item = MappingUse>) -> Result<Self, TryBeginError> {
        let uses = sorted(uses)?;
        let implicit = ImplicitFences::collect(uses.iter()).map_err(SubmitError::from)?;
        Self::try_lock(uses, implicit)
    }

    /// Like [`try_begin`](Self::try_begin), with a snapshot of the dma-bufs' own fences that was taken
    /// before: for a backend that begins again until it has turned every fence into a wait of its own.
    ///
    /// # Errors
    /// As [`try_begin`](Self::try_begin).
    pub fn try_begin_with(
        uses: impl IntoIterator<Item = MappingUse>,
        implicit: &ImplicitFences,
    ) -> Result<Self, TryBeginError> {
        Self::try_lock(sorted(uses)?, implicit.clone())
    }

    fn try_lock(uses: UsedMappings, implicit: ImplicitFences) -> Result<Self, TryBeginError> {
        let ticket = match one_of_each_buffer(&uses).nth(1) {
            Some(_) => Ticket::next(),
            None => Ticket::ALONE,
        };
        for (index, used) in one_of_each_buffer(&uses) {
            if used.buffer().reservation().try_lock(ticket) {
                continue;
            }
            for (_, held) in one_of_each_buffer(&uses).filter(|(held, _)| *held < index) {
                held.buffer().reservation().unlock();
            }
            let buffer = used.buffer().clone();
            return Err(TryBeginError::Contended(Contended { buffer }));
        }
        Ok(Self::of_locked(uses, implicit)?)
    }

    /// Checks that this thread may begin a submission. A backend calls this before it waits for a lock
    /// of its own: the thread that holds that lock may be waiting for a reservation of this thread.
    ///
    /// # Errors
    /// [`SubmitError::WouldDeadlock`]: this thread already has a submission, or is in an invalidate
    /// callback.
    pub fn may_begin(uses: &[MappingUse]) -> Result<(), SubmitError> {
        match held_reservations::any() {
            true => Err(would_deadlock(uses)),
            false => Ok(()),
        }
    }

    fn of_locked(uses: UsedMappings, implicit: ImplicitFences) -> Result<Self, SubmitError> {
        let submission = Self {
            uses,
            implicit,
            _of_this_thread: PhantomData,
        };
        match submission.uses.iter().find_map(MappingUse::refusal) {
            Some(refusal) => Err(refusal),
            None => Ok(submission),
        }
    }

    /// Calls `visit` for every fence that the work must wait for and that has not signalled, with its
    /// class and its buffer's name. A fence may come several times. Work that only reads also gets the
    /// fences of writes that have failed: the content that it wants to read is missing.
    ///
    /// # Errors
    /// The first error of `visit`.
    pub fn visit_waits<E>(
        &self,
        mut visit: impl FnMut(&Fence, FenceUsage, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut result = Ok(());
        for (_, used) in one_of_each_buffer(&self.uses) {
            let buffer = used.buffer();
            buffer
                .reservation()
                .visit_waited(used.access, |fence, usage| {
                    if result.is_ok() {
                        result = visit(fence, usage, buffer.name());
                    }
                });
            if self.implicit.is_empty() {
                continue;
            }
            self.implicit.visit(buffer, |fence, usage| {
                if result.is_ok() {
                    result = visit(fence, usage, buffer.name());
                }
            });
        }
        result
    }

    /// Adds the fence of the submitted work to every buffer's reservation, as a read or a write, and
    /// unlocks the reservations. Then adds the fence to the dma-bufs of buffers with foreign holders:
    /// see [`Unpublished::publish`].
    pub fn commit(mut self, fence: &Fence) {
        let (uses, is_foreign) = self.finish(fence);
        if is_foreign {
            Unpublished::of_all(uses, Some(fence.clone())).publish();
        }
    }

    /// Like [`commit`](Self::commit) without the last step, for a backend that still holds a lock of its
    /// own.
    pub fn commit_unpublished(mut self, fence: &Fence) -> Unpublished {
        let (uses, is_foreign) = self.finish(fence);
        Unpublished::of_all(uses, is_foreign.then(|| fence.clone()))
    }

    /// Does all of a commit except to publish the fence. Returns the uses, and whether any of them is of
    /// a buffer with foreign holders.
    fn finish(&mut self, fence: &Fence) -> (UsedMappings, bool) {
        // Dropped when everything is unlocked: the last fence of a device may drop the device.
        let mut removed = Removed::new();
        let is_foreign = self.add_to_all(fence, &mut removed);
        self.unlock();
        let uses = self.uses.take();
        uses.iter().for_each(MappingUse::tell_written);
        (uses, is_foreign)
    }

    /// Adds a fence to every buffer's reservation. Returns whether any buffer has foreign holders.
    fn add_to_all(&self, fence: &Fence, removed: &mut Removed) -> bool {
        for used in self.uses.iter() {
            used.add_fence(fence, removed);
        }
        // Checked after the fence was added: a foreign holder that is added meanwhile finds the fence.
        let mut buffers = self.uses.iter().map(MappingUse::buffer);
        buffers.any(|buffer| buffer.has_foreign_holders())
    }

    /// Like [`commit_unpublished`](Self::commit_unpublished), for work that finishes with each buffer at
    /// a different time: adds each fence to the reservation of its use's buffer, and unlocks them all. A
    /// buffer may come several times. The fence of a buffer that the submission did not lock is added, too,
    /// but work on it was not ordered with that of others.
    pub fn commit_each(
        mut self,
        fences: impl IntoIterator<Item = (MappingUse, Fence)>,
    ) -> Unpublished {
        let mut removed = Removed::new();
        let mut each = SmallVec::new();
        let mut written = SmallVec::<[MappingUse; 4]>::new();
        let mut unlocked = SmallVec::<[(MappingUse, Fence); 2]>::new();
        for (used, fence) in fences {
            let is_same = |begun: &&MappingUse| Arc::ptr_eq(begun.buffer(), used.buffer());
            let Some(begun) = self.uses.iter().find(is_same) else {
                unlocked.push((used, fence));
                continue;
            };
            if used.access == Access::Write && begun.access == Access::Read {
                written.push(used.clone());
            }
            used.add_fence(&fence, &mut removed);
            if used.buffer().has_foreign_holders() {
                each.push((used, fence));
            }
        }
        self.unlock();
        let uses = self.uses.take();
        for (used, fence) in unlocked {
            // This thread holds no reservation any more.
            let locked = used.buffer().reservation().lock_alone();
            used.add_fence(&fence, &mut removed);
            drop(locked);
            if used.access == Access::Write {
                written.push(used.clone());
            }
            if used.buffer().has_foreign_holders() {
                each.push((used, fence));
            }
        }
        uses.iter().for_each(MappingUse::tell_written);
        written.iter().for_each(MappingUse::tell_written);
        Unpublished {
            uses,
            fence: None,
            each,
        }
    }

    fn unlock(&self) {
        for (_, used) in one_of_each_buffer(&self.uses) {
            used.buffer().reservation().unlock();
        }
    }
}

impl Drop for Submission {
    /// Unlocks the reservations, unless a commit has unlocked them and taken the uses out.
    fn drop(&mut self) {
        self.unlock();
    }
}

/// Sorts the uses by buffer, so that all submissions lock in the same order. Uses of one buffer are
/// adjacent, writes before reads.
fn sorted(uses: impl IntoIterator<Item = MappingUse>) -> Result<UsedMappings, SubmitError> {
    let mut uses: UsedMappings = uses.into_iter().collect();
    if uses.len() > 1 {
        uses.sort_unstable_by_key(|used| (Arc::as_ptr(used.buffer()), used.access == Access::Read));
    }
    Submission::may_begin(&uses)?;
    Ok(uses)
}

/// The first use of each buffer, with its index among the sorted uses: a write, if there is one.
fn one_of_each_buffer(uses: &[MappingUse]) -> impl Iterator<Item = (usize, &MappingUse)> {
    uses.iter().enumerate().filter(|(index, used)| {
        *index == 0 || !Arc::ptr_eq(uses[index - 1].buffer(), used.buffer())
    })
}

/// The error for a thread that already holds reservations. It names one of the buffers that are held,
/// if that is known.
fn would_deadlock(uses: &[MappingUse]) -> SubmitError {
    let held = |used: &&MappingUse| used.buffer().reservation().was_locked_last();
    let used = uses.iter().find(held).or(uses.first());
    SubmitError::WouldDeadlock {
        buffer: used.map_or_else(
            || "a lock".to_owned(),
            |used| used.buffer().name().to_owned(),
        ),
    }
}

/// Locks the only buffer of the uses, if there are any.
fn lock_first(uses: &[MappingUse]) {
    if let Some(used) = uses.first() {
        used.buffer().reservation().lock_slow(Ticket::ALONE);
    }
}

/// Locks all buffers in order. If an older submission holds one, unlocks everything, waits for that
/// reservation, and starts again with it held.
fn lock_all(uses: &[MappingUse]) {
    let ticket = Ticket::next();
    let mut held_first: Option<usize> = None;
    'again: loop {
        for (index, used) in one_of_each_buffer(uses) {
            if held_first == Some(index) {
                continue;
            }
            if used.buffer().reservation().lock(ticket).is_ok() {
                continue;
            }
            for held in one_of_each_buffer(uses).filter(|(held, _)| {
                *held < index || held_first.is_some_and(|first| first == *held && first > index)
            }) {
                held.1.buffer().reservation().unlock();
            }
            used.buffer().reservation().lock_slow(ticket);
            held_first = Some(index);
            continue 'again;
        }
        return;
    }
}
