//! One piece of work over any number of mappings.

use std::marker::PhantomData;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::held;
use crate::mapping::MappingUse;
use crate::reservation::Ticket;
use crate::{Access, Fence, FenceUsage, SubmitError};

/// A piece of work that is about to be submitted. While it exists the reservations of all its
/// buffers are locked, so no eviction can come between the check of its mappings and the fence that
/// protects them.
///
/// Between [`begin`](Self::begin) and [`commit`](Self::commit) the caller hands the work to the
/// device and does nothing else: nothing blocks, allocates, imports or asks a driver for a sync_file
/// there. Dropping a submission adds no fence anywhere.
///
/// It stays on the thread that began it, because the locks are that thread's:
///
/// ```compile_fail
/// fn sent<T: Send>() {}
/// sent::<dmashare::Submission>();
/// ```
///
/// Backends wrap this type and turn the fences into their own waits.
#[derive(Debug)]
pub struct Submission {
    uses: SmallVec<[MappingUse; 8]>,
    // The locks belong to the thread that took them.
    _of_this_thread: PhantomData<*const ()>,
}

impl Submission {
    /// Locks the reservations of all buffers, and checks that every mapping is of its buffer's
    /// current backing. A buffer may be named several times; a write among its uses wins.
    ///
    /// Blocks only while another thread is between its `begin` and its `commit` on one of the
    /// buffers. Up to eight uses take no allocation.
    ///
    /// # Errors
    /// - [`SubmitError::Stale`]: a mapping is of a backing that its buffer has left.
    /// - [`SubmitError::ImporterDead`]: a mapping's importer did not react to an earlier move in time.
    /// - [`SubmitError::WouldDeadlock`]: this thread already has a submission, on whatever buffers, or
    ///   is in an invalidate callback. (Two threads with two each would wait for each other.)
    pub fn begin(uses: impl IntoIterator<Item = MappingUse>) -> Result<Self, SubmitError> {
        let mut uses: SmallVec<[MappingUse; 8]> = uses.into_iter().collect();
        // Uses of one buffer stand together, a write before the reads, and all submissions share
        // the order of the buffers.
        uses.sort_unstable_by_key(|used| (Arc::as_ptr(used.buffer()), used.access == Access::Read));
        if held::any() {
            return Err(would_deadlock(&uses));
        }
        lock_all(&uses);
        let submission = Self {
            uses,
            _of_this_thread: PhantomData,
        };
        match submission.uses.iter().find_map(MappingUse::refusal) {
            Some(refusal) => Err(refusal),
            None => Ok(submission),
        }
    }

    /// Calls `visit` for every fence that the work must wait for and that has not signalled, with
    /// its class and its buffer's name. A fence may come several times. Writes that have failed are
    /// shown to work that only reads: what it wants to read is not there.
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
        }
        result
    }

    /// The work was submitted: adds its fence to every buffer's reservation, as that of a reader or
    /// a writer, and unlocks them.
    pub fn commit(self, fence: &Fence) {
        // They go when everything is unlocked: the last fence of a device takes the device along.
        let mut removed = SmallVec::<[Fence; 16]>::new();
        for used in &self.uses {
            let reservation = used.buffer().reservation();
            let attachment = Some(used.attachment());
            reservation.add_into(used.access.into(), fence.clone(), attachment, &mut removed);
        }
        drop(self);
    }

    /// The same for work that is done with each buffer at a time of its own: adds each fence to the
    /// reservation of its use's buffer, and unlocks them all. A buffer may come several times; one
    /// that the submission did not lock is left alone.
    pub fn commit_each(self, fences: impl IntoIterator<Item = (MappingUse, Fence)>) {
        let mut removed = SmallVec::<[Fence; 16]>::new();
        for (used, fence) in fences {
            let is_locked = |locked: &MappingUse| Arc::ptr_eq(locked.buffer(), used.buffer());
            if self.uses.iter().any(is_locked) {
                let reservation = used.buffer().reservation();
                let attachment = Some(used.attachment());
                reservation.add_into(used.access.into(), fence, attachment, &mut removed);
            }
        }
        drop(self);
    }
}

impl Drop for Submission {
    fn drop(&mut self) {
        for (_, used) in one_of_each_buffer(&self.uses) {
            used.buffer().reservation().unlock();
        }
    }
}

/// The first use of each buffer, with its place among the sorted uses: the write, if there is one.
fn one_of_each_buffer(uses: &[MappingUse]) -> impl Iterator<Item = (usize, &MappingUse)> {
    uses.iter().enumerate().filter(|(index, used)| {
        *index == 0 || !Arc::ptr_eq(uses[index - 1].buffer(), used.buffer())
    })
}

/// The refusal of a thread that holds reservations already. It names a buffer of those, if it can.
fn would_deadlock(uses: &[MappingUse]) -> SubmitError {
    let held = |used: &&MappingUse| used.buffer().reservation().was_locked_last();
    let used = uses.iter().find(held).or(uses.first());
    SubmitError::WouldDeadlock {
        buffer: used.map_or_else(String::new, |used| used.buffer().name().to_owned()),
    }
}

/// Locks in order; when an older submission is in the way, lets go of everything, waits for that one
/// reservation and begins again with it.
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
