//! The second phase of a move: the copy.

use std::panic::resume_unwind;
use std::sync::{Arc, TryLockError};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::buffer::BufferInner;
use crate::buffer::invalidation::InvalidationReason;
use crate::buffer::move_error::MoveError;
use crate::buffer::moving::pending_move::PendingMove;
use crate::buffer::moving::tell_importers::Told;
use crate::buffer::state::{OldBacking, Status};
use crate::caught_panic::caught;
use crate::fence::error::FenceError;
use crate::fence::usage::FenceUsage;
use crate::fence::{Fence, held_reservations};
use crate::locks;
use crate::locks::Ordering;
use crate::memory::dynamic_exporter::Copied;

/// How often a wait checks whether another thread has submitted the copy.
const LOOK: Duration = Duration::from_micros(50);
/// The longest interval between two checks. An exporter may answer for long that it cannot copy yet.
const LONGEST_LOOK: Duration = Duration::from_millis(5);

impl BufferInner {
    /// Submits the copy of a move that has begun, if that can be done now. Returns an error if the copy
    /// could not be submitted; the buffer is then back in its old memory. If the exporter
    /// panics, the buffer is put back in its old memory as well, and the panic propagates to the caller.
    pub(crate) fn advance(self: &Arc<Self>) -> Option<MoveError> {
        let exporter = self.dynamic.as_ref()?;
        if held_reservations::any() {
            return None;
        }
        let pending = match &self.state().status {
            Status::Moving(Some(pending)) => pending.clone(),
            _ => return None,
        };
        let turn = match pending.turn.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        match &self.state().status {
            Status::Moving(Some(current)) if Arc::ptr_eq(current, &pending) => {}
            _ => return None,
        }
        let copied =
            caught(|| exporter.copy(self.desc(), &pending.old, &pending.new, &pending.after));
        let copied = match copied {
            Ok(copied) => copied,
            Err(payload) => {
                self.undo_move(&pending);
                drop(turn);
                resume_unwind(payload)
            }
        };
        match copied {
            Ok(Copied::By(fence)) => {
                self.finish_move(&pending, fence);
                None
            }
            Ok(Copied::NotYet) => {
                tracing::debug!(buffer = self.name(), "the copy waits for fences");
                pending.fence.wait_for_fences();
                None
            }
            Err(source) => {
                self.undo_move(&pending);
                let error = MoveError::Copy {
                    buffer: self.name().to_owned(),
                    source,
                };
                tracing::warn!(buffer = self.name(), %error, "a move was undone");
                Some(error)
            }
        }
    }

    /// Waits for the fences that the copy of a move must wait for, and submits the copy.
    pub(crate) fn advance_within(self: &Arc<Self>, timeout: Duration) -> Result<(), FenceError> {
        let start = Instant::now();
        let mut look = LOOK;
        if let Some(buffer) = self.would_deadlock() {
            return Err(FenceError::WouldDeadlock {
                producer: format!("move of {buffer}"),
            });
        }
        loop {
            self.advance();
            let pending = match &self.state().status {
                Status::Moving(pending) => pending.clone(),
                _ => return Ok(()),
            };
            let after = pending
                .map(|pending| pending.after.clone())
                .unwrap_or_default();
            let left = timeout.saturating_sub(start.elapsed());
            match after.wait(left) {
                // The copy takes whatever content a failed writer has left.
                Ok(())
                | Err(
                    FenceError::Failed { .. }
                    | FenceError::ProducerGone { .. }
                    | FenceError::Expired { .. },
                ) => {}
                Err(error) => return Err(error),
            }
            if left.is_zero() {
                return Err(FenceError::Timeout {
                    producer: format!("move of {}", self.name()),
                });
            }
            // Another thread is notifying importers or submitting the copy. Neither takes long.
            locks::sleep(look.min(left));
            look = (look * 2).min(LONGEST_LOOK);
        }
    }

    fn finish_move(&self, pending: &PendingMove, fence: Fence) {
        let Some(locked) = self.reservation().lock_alone() else {
            // Cannot happen: `advance` returns early on a thread that holds a reservation.
            return;
        };
        // The copy's own fence replaces the move's: devices can wait for it.
        let mut removed =
            self.reservation()
                .replace(&pending.fence.fence(), FenceUsage::Move, fence.clone());
        pending.fence.resolve(Some(fence.clone()));
        let mut after = pending.after.clone();
        after.insert(fence);
        let status = {
            let mut state = self.state();
            state
                .old
                .push(OldBacking::new(pending.old.clone(), after, true));
            std::mem::replace(&mut state.status, Status::Resident)
        };
        drop(locked);
        removed.clear();
        drop(status);
    }

    /// Puts the old memory back, as a new generation, after the copy could not be submitted.
    fn undo_move(self: &Arc<Self>, pending: &PendingMove) {
        let Some(locked) = self.reservation().lock_alone() else {
            return;
        };
        let (told, new, status) = {
            let mut state = self.state();
            let generation = state.backing.generation().next();
            let new = self.replace_backing(&mut state, pending.old.renewed(generation));
            let told = Told::mapping(&state, new.generation());
            (
                told,
                new,
                std::mem::replace(&mut state.status, Status::Resident),
            )
        };
        let mut answers = self.tell(told, new.generation(), InvalidationReason::Move);
        let after = self.reservation().unfinished(Some(&pending.fence.fence()));
        let removed = self.reservation().remove(&pending.fence.fence());
        answers.removed.extend(removed);
        // The new memory never gets the content: work that waits for it must fail.
        pending.fence.fail(Errno::EIO);
        {
            let mut state = self.state();
            // Mappings from before the move are stale, as are those of the new memory.
            let before = OldBacking::new(pending.old.clone(), pending.after.clone(), false);
            state.old.push(before);
            state.old.push(OldBacking::new(new, after, true));
        }
        self.displaced
            .store(pending.was_displaced, Ordering::Relaxed);
        if let Some(keeper) = self.keeper() {
            keeper.clone().changed_placement();
        }
        drop(locked);
        drop(status);
        self.settle(answers);
    }
}
