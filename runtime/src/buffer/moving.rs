//! Moving a buffer, in two phases.
//!
//! The first phase allocates the new memory with nothing locked, so a lack of room is known before
//! anything changes. Then, under the reservation, it checks the pins again, increments the generation,
//! which makes the mappings stale, notifies their importers, and collects the fences of all work in
//! flight. The second phase submits the copy behind those fences; from then on the move is a fence that
//! every later use waits for. The old memory lives until its fences have signalled and no mapping of it
//! is left ([`let_go`]).

pub(crate) mod copy_phase;
pub(crate) mod let_go;
pub(crate) mod move_fence;
pub(crate) mod pending_move;
pub(crate) mod revocation;
pub(crate) mod tell_importers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::access::Access;
use crate::buffer::BufferInner;
use crate::buffer::allocation::{NoMemory, allocate};
use crate::buffer::invalidation::InvalidationReason;
use crate::buffer::keeper::Force;
use crate::buffer::move_error::MoveError;
use crate::buffer::moving::move_fence::MoveFence;
use crate::buffer::moving::pending_move::PendingMove;
use crate::buffer::moving::tell_importers::Told;
use crate::buffer::state::{State, Status};
use crate::fence::error::FenceError;
use crate::fence::reservation::Locked;
use crate::fence::set::FenceSet;
use crate::fence::usage::FenceUsage;
use crate::fence::{Fence, held_reservations};
use crate::locks::Ordering;
use crate::memory::backing::{Allocation, Backing, Generation};
use crate::memory::constraint::AccessConstraint;
use crate::memory::dynamic_exporter::DynamicExporter;
use crate::memory::ledger::Charge;

/// A move of a buffer whose old mappings are stale already.
///
/// Dropping this has no effect: the move goes on.
#[derive(Clone, Debug)]
pub struct Move {
    buffer: Arc<BufferInner>,
    generation: Generation,
    /// This move's fence, or those of moves that are on their way already.
    fences: FenceSet,
}

impl Move {
    /// The buffer's generation after the move.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The fence that signals when the content is in the new memory; `None` if the buffer did not have
    /// to move and no earlier move is on its way. It is in the buffer's reservation, so every use waits
    /// for it.
    pub fn fence(&self) -> Option<&Fence> {
        self.fences.iter().next()
    }

    /// Whether the copy has ended, or has failed (see the fence). Submits a copy that had to wait for
    /// fences if they are over now. Does not block.
    pub fn is_over(&self) -> bool {
        self.buffer.advance();
        self.fences.status().is_over()
    }

    /// Waits until the content is in the new memory, for `timeout` at most.
    ///
    /// # Errors
    /// Those of [`Fence::wait`], among them the failure of the copy.
    pub fn wait(&self, timeout: Duration) -> Result<(), FenceError> {
        let start = Instant::now();
        self.buffer.advance_within(timeout)?;
        self.fences.wait(timeout.saturating_sub(start.elapsed()))
    }
}

impl BufferInner {
    pub(crate) fn would_deadlock(&self) -> Option<String> {
        held_reservations::any().then(|| self.name().to_owned())
    }

    /// Moves the buffer to memory that fits `wanted`, unless its current memory does.
    pub(crate) fn move_to(self: &Arc<Self>, wanted: &AccessConstraint) -> Result<Move, MoveError> {
        self.move_with(wanted, Force::Firmly)
    }

    /// Like [`move_to`](Self::move_to), with a choice of which buffers may be moved to make room.
    pub(crate) fn move_with(
        self: &Arc<Self>,
        wanted: &AccessConstraint,
        force: Force,
    ) -> Result<Move, MoveError> {
        if let Some(buffer) = self.would_deadlock() {
            return Err(MoveError::WouldDeadlock { buffer });
        }
        let Some(exporter) = &self.dynamic else {
            return Err(self.refused(MoveError::Static {
                buffer: self.name().to_owned(),
            }));
        };
        let span = tracing::info_span!("move", buffer = self.name(), to = %wanted);
        let _entered = span.enter();
        self.advance();
        self.collect();
        {
            let state = self.state();
            if wanted.objection(&state.backing).is_none()
                && !matches!(state.status, Status::Revoked)
            {
                let generation = state.backing.generation();
                drop(state);
                return Ok(Move {
                    buffer: self.clone(),
                    generation,
                    fences: self.reservation().fences(FenceUsage::Move),
                });
            }
            let refusal = self.refusal(&state);
            drop(state);
            if let Some(error) = refusal {
                return Err(self.refused(error));
            }
        }
        // Fences of foreign holders on the old memory. Read before anything changes.
        let implicit = self.implicit_fences(Access::Write)?;
        let (allocation, charge) = self.allocate(exporter, wanted, force)?;
        let started = self.change_backing(allocation, charge, implicit);
        let (generation, fence) = started.map_err(|error| self.refused(error))?;
        self.moves.fetch_add(1, Ordering::Relaxed);
        if let Some(error) = self.advance() {
            return Err(error);
        }
        if self.has_foreign_holders()
            && let Err(error) = self.publish_reservation()
        {
            tracing::warn!(buffer = self.name(), %error, "foreign holders do not see the move yet");
        }
        Ok(Move {
            buffer: self.clone(),
            generation,
            fences: [fence].into_iter().collect(),
        })
    }

    /// Why the buffer cannot move now; `None` if it can.
    fn refusal(&self, state: &State) -> Option<MoveError> {
        let buffer = || self.name().to_owned();
        match &state.status {
            Status::Moving(_) => return Some(MoveError::Moving { buffer: buffer() }),
            Status::Revoked => return Some(MoveError::Revoked { buffer: buffer() }),
            Status::Resident => {}
        }
        let is_pinned = !state.pins.is_empty();
        is_pinned.then(|| MoveError::Pinned {
            buffer: buffer(),
            pins: state.pin_reports(),
        })
    }

    fn refused(&self, error: MoveError) -> MoveError {
        self.refusals.fetch_add(1, Ordering::Relaxed);
        tracing::info!(buffer = self.name(), %error, "move refused");
        error
    }

    /// Allocates memory for the move, within the budget of its placement.
    fn allocate(
        &self,
        exporter: &Arc<dyn DynamicExporter>,
        wanted: &AccessConstraint,
        force: Force,
    ) -> Result<(Allocation, Option<Charge>), MoveError> {
        let keeper = self.keeper().map(|keeper| (&**keeper, force));
        let bytes = self.backing().bytes();
        allocate(exporter, self.desc(), wanted, bytes, keeper).map_err(|refused| {
            let buffer = self.name().to_owned();
            match refused {
                NoMemory::Exporter(source) => MoveError::Export { buffer, source },
                NoMemory::NoRoom(error) => MoveError::NoSpace {
                    buffer,
                    source: Box::new(error),
                },
                NoMemory::NoPlacement { offered } => MoveError::NoPlacement {
                    buffer,
                    wanted: wanted.placements,
                    offered,
                },
            }
        })
    }

    /// The first phase, after the allocation. Returns the new generation and the move's fence.
    fn change_backing(
        self: &Arc<Self>,
        mut allocation: Allocation,
        charge: Option<Charge>,
        implicit: FenceSet,
    ) -> Result<(Generation, Fence), MoveError> {
        let usable_after = allocation.usable_after.take();
        let fence = MoveFence::new(format!("move of {}", self.name()));
        let locked = self.lock_reservation()?;
        // The fence is added before the backing changes: a thread that finds the new memory under
        // any lock also finds the fence of its content (I7).
        let mut removed = self
            .reservation()
            .add(FenceUsage::Move, fence.fence(), None);
        let (old, new, told) = {
            let mut state = self.state();
            // The buffer may have been pinned, moved or revoked during the allocation.
            if let Some(error) = self.refusal(&state) {
                drop(state);
                removed.extend(self.reservation().remove(&fence.fence()));
                fence.resolve(None);
                drop(locked);
                let after = usable_after.into_iter().collect();
                let backing = Backing::new(allocation, Generation::FIRST, charge);
                self.recycle(&backing, after);
                return Err(error);
            }
            let generation = state.backing.generation().next();
            let new = Backing::new(allocation, generation, charge);
            let old = self.replace_backing(&mut state, new.clone());
            let told = Told::mapping(&state, old.generation());
            // No thread can begin the second phase before every importer was notified.
            state.status = Status::Moving(None);
            (old, new, told)
        };
        let generation = new.generation();
        let mut answers = self.tell(told, old.generation(), InvalidationReason::Move);
        let mut after = answers.in_flight(self, Some(&fence.fence()));
        for fence in implicit.iter() {
            after.insert(fence.clone());
        }
        if let Some(fence) = usable_after {
            after.insert(fence);
        }
        answers.removed.extend(removed);
        tracing::info!(
            generation = generation.as_u64(),
            from = %old.placement(),
            placement = %new.placement(),
            bytes = new.bytes(),
            waits = after.iter().count(),
            "moving"
        );
        let was_displaced = self.is_displaced();
        let pending = PendingMove::new(old, new, after, fence.clone(), was_displaced);
        self.state().status = Status::Moving(Some(Arc::new(pending)));
        if let Some(keeper) = self.keeper() {
            keeper.clone().changed_placement();
        }
        drop(locked);
        self.settle(answers);
        Ok((generation, fence.fence()))
    }

    pub(crate) fn lock_reservation(&self) -> Result<Locked<'_>, MoveError> {
        self.reservation()
            .lock_alone()
            .ok_or_else(|| MoveError::WouldDeadlock {
                buffer: self.name().to_owned(),
            })
    }
}
