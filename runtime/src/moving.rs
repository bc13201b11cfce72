//! Moving a buffer, in two phases.
//!
//! First the new memory is made, while nothing is locked: whether there is room is known before
//! anyone is disturbed. Then, under the reservation, pins are looked at again, the generation grows,
//! mappings go stale, their importers are told, and the fences of all work in flight are noted. In
//! the second phase the copy is submitted behind those fences; from then on the move is a fence that
//! every later use waits for. The old memory lives until its fences have signalled and nobody maps it
//! ([`crate::old_backing`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::buffer::{BufferInner, Entry, Kind, State, Status};
use crate::callback_gate::{CallbackGate, Called};
use crate::dynamic_attachment::MapCache;
use crate::held;
use crate::move_fence::MoveFence;
use crate::old_backing::OldBacking;
use crate::pending_move::PendingMove;
use crate::reservation::{Locked, Removed};
use crate::residency::{Charge, Force};
use crate::sync::Ordering;
use crate::{
    AccessConstraint, Allocation, AttachmentId, Backing, Copied, DynamicExporter, ExportError,
    Fence, FenceError, FenceSet, FenceUsage, Generation, InvalidationContext, InvalidationReason,
    MapError, MoveError, PinError, Placement,
};

/// A move of a buffer, from the moment at which its old mappings went stale.
///
/// Dropping it changes nothing: the move goes on.
#[derive(Clone, Debug)]
pub struct Move {
    buffer: Arc<BufferInner>,
    generation: Generation,
    fence: Option<Fence>,
}

impl Move {
    /// The generation that the buffer has moved to.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Signals when the content is in the new memory; `None` if the buffer was where it should be
    /// already. It is in the buffer's reservation, so every use waits for it.
    pub fn fence(&self) -> Option<&Fence> {
        self.fence.as_ref()
    }

    /// Whether the content is there (or will never be: see the fence). Submits the copy if that had
    /// to wait for fences which are over now. Does not block.
    pub fn is_over(&self) -> bool {
        self.buffer.advance();
        let fence = self.fence.as_ref();
        fence.is_none_or(|fence| fence.status().is_over())
    }

    /// Waits until the content is there, for `timeout` at most.
    ///
    /// # Errors
    /// As [`Fence::wait`]: among others, the copy failed.
    pub fn wait(&self, timeout: Duration) -> Result<(), FenceError> {
        let start = Instant::now();
        self.buffer.advance_within(timeout)?;
        match &self.fence {
            Some(fence) => fence.wait(timeout.saturating_sub(start.elapsed())),
            None => Ok(()),
        }
    }
}

/// Whom to tell.
struct Told {
    id: AttachmentId,
    gate: Arc<CallbackGate>,
    cache: Option<Arc<dyn MapCache>>,
    dead: Arc<std::sync::atomic::AtomicBool>,
}

impl Told {
    fn of(entry: &Entry) -> Option<Self> {
        Some(Self {
            id: entry.id,
            gate: entry.gate.clone()?,
            cache: entry.cache.as_ref().and_then(std::sync::Weak::upgrade),
            dead: entry.dead.clone(),
        })
    }
}

/// What came of telling everyone.
#[derive(Default)]
pub(crate) struct Answers {
    /// Fences that callbacks added.
    pub(crate) fences: FenceSet,
    detach: SmallVec<[AttachmentId; 4]>,
    /// Mappings and fences, to be dropped when nothing is locked.
    mappings: Vec<Box<dyn std::any::Any + Send>>,
    caches: Vec<Arc<dyn MapCache>>,
    removed: Removed,
}

impl BufferInner {
    pub(crate) fn would_deadlock(&self) -> Option<String> {
        held::any().then(|| self.name().to_owned())
    }

    /// Moves the buffer to memory that fits `wanted`, unless it is in such memory.
    pub(crate) fn move_to(self: &Arc<Self>, wanted: &AccessConstraint) -> Result<Move, MoveError> {
        self.move_with(wanted, Force::Firmly)
    }

    /// The same, making room for it more or less firmly.
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
                return Ok(Move {
                    buffer: self.clone(),
                    generation: state.backing.generation(),
                    fence: None,
                });
            }
            let refusal = self.refusal(&state);
            drop(state);
            if let Some(error) = refusal {
                return Err(self.refused(error));
            }
        }
        let (allocation, charge) = self.allocate(exporter, wanted, force)?;
        let started = self.change_backing(allocation, charge);
        let (generation, fence) = started.map_err(|error| self.refused(error))?;
        self.moves.fetch_add(1, Ordering::Relaxed);
        if let Some(error) = self.advance() {
            return Err(error);
        }
        Ok(Move {
            buffer: self.clone(),
            generation,
            fence: Some(fence),
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

    /// Makes memory that fits, in the exporter's order of places. Room for it is made first.
    fn allocate(
        &self,
        exporter: &Arc<dyn DynamicExporter>,
        wanted: &AccessConstraint,
        force: Force,
    ) -> Result<(Allocation, Option<Charge>), MoveError> {
        let failed = |source: ExportError| MoveError::Export {
            buffer: self.name().to_owned(),
            source,
        };
        let offered = exporter.placements(self.desc()).map_err(failed)?;
        let bytes = self.backing().bytes();
        let mut last = None;
        for placement in Placement::ALL {
            if !(offered & wanted.placements).has(placement) {
                continue;
            }
            let here = AccessConstraint {
                placements: placement.into(),
                ..wanted.clone()
            };
            let charge = match self.residency.get() {
                None => None,
                Some(link) => match link.make_room(placement, bytes, self.key, force) {
                    Ok(charge) => Some(charge),
                    Err(error) => {
                        last = Some(MoveError::NoSpace {
                            buffer: self.name().to_owned(),
                            source: Box::new(error),
                        });
                        continue;
                    }
                },
            };
            match exporter.allocate_in(self.desc(), &here) {
                Ok(allocation) => {
                    if let Err(error) = allocation.dmabuf.set_name(self.name()) {
                        exporter.recycle(self.desc(), allocation, FenceSet::new());
                        return Err(failed(error.into()));
                    }
                    let charge = charge.map(|charge| charge.resized(allocation.bytes()));
                    return Ok((allocation, charge));
                }
                Err(error) => last = Some(failed(error)),
            }
        }
        Err(last.unwrap_or_else(|| MoveError::NoPlacement {
            buffer: self.name().to_owned(),
            wanted: wanted.placements,
            offered,
        }))
    }

    /// The first phase, after the allocation. Gives the generation and the move's fence.
    fn change_backing(
        self: &Arc<Self>,
        mut allocation: Allocation,
        charge: Option<Charge>,
    ) -> Result<(Generation, Fence), MoveError> {
        let usable_after = allocation.usable_after.take();
        let fence = MoveFence::new(format!("move of '{}'", self.name()));
        let locked = self.lock_reservation()?;
        let (old, new, told) = {
            let mut state = self.state();
            // Things may have changed while the memory was made.
            if let Some(error) = self.refusal(&state) {
                drop(state);
                drop(locked);
                let after = usable_after.into_iter().collect();
                self.recycle(OldBacking::new(
                    Backing::new(allocation, Generation::FIRST, charge),
                    after,
                    true,
                ));
                return Err(error);
            }
            let generation = state.backing.generation().next();
            let new = Backing::new(allocation, generation, charge);
            let old = self.replace_backing(&mut state, new.clone());
            let told = mapped_dynamic(&state, old.generation());
            // Nobody can begin the second phase before everyone was told.
            state.status = Status::Moving(None);
            (old, new, told)
        };
        let generation = new.generation();
        let mut answers = self.tell(told, old.generation(), InvalidationReason::Move);
        let mut after = self.reservation().fences(FenceUsage::Bookkeep);
        for fence in answers.fences.iter().cloned().chain(usable_after) {
            after.insert(fence);
        }
        let removed = self
            .reservation()
            .add(FenceUsage::Move, fence.fence(), None);
        answers.removed.extend(removed);
        tracing::info!(
            generation = generation.as_u64(),
            from = %old.placement(),
            placement = %new.placement(),
            bytes = new.bytes(),
            waits = after.iter().count(),
            "moving"
        );
        let pending = PendingMove::new(old, new, after, fence.clone());
        self.state().status = Status::Moving(Some(Arc::new(pending)));
        if let Some(link) = self.residency.get() {
            link.leaves(self);
        }
        drop(locked);
        self.settle(answers);
        Ok((generation, fence.fence()))
    }

    pub(crate) fn lock_reservation(&self) -> Result<Locked<'_>, MoveError> {
        self.reservation()
            .lock_alone()
            .map_err(|_| MoveError::WouldDeadlock {
                buffer: self.name().to_owned(),
            })
    }

    /// Calls the callbacks, under the reservation.
    fn tell(
        self: &Arc<Self>,
        told: SmallVec<[Told; 4]>,
        generation: Generation,
        reason: InvalidationReason,
    ) -> Answers {
        let mut answers = Answers::default();
        for told in told {
            let context = InvalidationContext::new(self, told.id, generation, reason);
            let called = told.gate.call(&context);
            tracing::debug!(id = ?told.id, generation = generation.as_u64(), ?reason, ?called, "told");
            if called == Called::Panicked {
                told.dead.store(true, std::sync::atomic::Ordering::Release);
            }
            for fence in context.fences().iter() {
                answers.fences.insert(fence.clone());
            }
            if context.wants_detach() {
                answers.detach.push(told.id);
            }
            answers.removed.extend(context.into_removed());
            // A flag suffices: the attachment's own mapping goes without the callback's help.
            if let Some(cache) = told.cache {
                answers.mappings.extend(cache.take());
                answers.caches.push(cache);
            }
        }
        answers
    }

    /// Drops what could not be dropped under the reservation, and detaches who asked for it.
    fn settle(&self, answers: Answers) {
        let detach = answers.detach.clone();
        drop(answers);
        for id in detach {
            self.detach(id);
        }
    }

    /// The second phase, as far as it can go now: submits the copy of a move that has begun. Gives
    /// the error of a copy that could not be submitted; the buffer is then back where it was.
    pub(crate) fn advance(self: &Arc<Self>) -> Option<MoveError> {
        let exporter = self.dynamic.as_ref()?;
        if held::any() {
            return None;
        }
        let pending = match &self.state().status {
            Status::Moving(Some(pending)) => pending.clone(),
            _ => return None,
        };
        let Ok(_turn) = pending.turn.try_lock() else {
            return None;
        };
        match &self.state().status {
            Status::Moving(Some(current)) if Arc::ptr_eq(current, &pending) => {}
            _ => return None,
        }
        match exporter.copy(self.desc(), &pending.old, &pending.new, &pending.after) {
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
                tracing::error!(buffer = self.name(), %error, "a move was undone");
                Some(error)
            }
        }
    }

    /// Waits for what the copy of a move waits for, and submits it.
    pub(crate) fn advance_within(self: &Arc<Self>, timeout: Duration) -> Result<(), FenceError> {
        let start = Instant::now();
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
                // A failed writer has left what it left; the copy takes it along.
                Ok(()) | Err(FenceError::Failed { .. } | FenceError::ProducerGone { .. }) => {}
                Err(error) => return Err(error),
            }
            if left.is_zero() {
                return Err(FenceError::Timeout {
                    producer: format!("move of '{}'", self.name()),
                });
            }
        }
    }

    fn finish_move(&self, pending: &PendingMove, fence: Fence) {
        let Ok(locked) = self.reservation().lock_alone() else {
            // The mover holds no reservation: `move_to` has looked, and callers of `advance` wait.
            return;
        };
        // The copy's own fence takes the place of the move's: devices know it.
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

    /// The copy could not be submitted: the old memory is the buffer's again, as a new generation.
    fn undo_move(self: &Arc<Self>, pending: &PendingMove) {
        let Ok(locked) = self.reservation().lock_alone() else {
            return;
        };
        let (told, new, status) = {
            let mut state = self.state();
            let generation = state.backing.generation().next();
            let new = self.replace_backing(&mut state, pending.old.renewed(generation));
            let told = mapped_dynamic(&state, new.generation());
            (
                told,
                new,
                std::mem::replace(&mut state.status, Status::Resident),
            )
        };
        let mut answers = self.tell(told, new.generation(), InvalidationReason::Move);
        let after = self.reservation().fences(FenceUsage::Bookkeep);
        let removed = self.reservation().remove(&pending.fence.fence());
        answers.removed.extend(removed);
        pending.fence.resolve(None);
        self.state().old.push(OldBacking::new(
            new,
            after
                .iter()
                .filter(|fence| !fence.supersedes(&pending.fence.fence()))
                .cloned()
                .collect(),
            true,
        ));
        drop(locked);
        drop(status);
        self.settle(answers);
    }

    /// Moves the buffer to where an attachment can use it, and back if it was evicted.
    pub(crate) fn bring_within_reach(
        self: &Arc<Self>,
        core: &crate::attachment::AttachmentCore,
    ) -> Result<(), MapError> {
        if self.is_displaced()
            && let Some(link) = self.residency.get()
        {
            link.restore(self);
        }
        let Some((wanted, importer, reason)) = ({
            let mut state = self.state();
            let backing = state.backing.clone();
            state.entry(core.id()).and_then(|entry| {
                let reason = entry.constraint.objection(&backing)?;
                Some((entry.constraint.clone(), entry.name.to_string(), reason))
            })
        }) else {
            return Ok(());
        };
        match self.move_to(&wanted) {
            Ok(_) => Ok(()),
            Err(MoveError::Static { .. } | MoveError::NoPlacement { .. }) => {
                Err(MapError::Unreachable {
                    buffer: self.name().to_owned(),
                    importer,
                    reason,
                })
            }
            // Someone else moves it: the caller looks again.
            Err(MoveError::Moving { .. }) => Ok(()),
            Err(error) => Err(MapError::Move {
                source: Box::new(error),
            }),
        }
    }

    /// Moves the buffer to where everyone who is attached can use it.
    pub(crate) fn bring_within_reach_of_all(
        self: &Arc<Self>,
        core: &crate::attachment::AttachmentCore,
    ) -> Result<(), PinError> {
        let unreachable = |importer: String, reason: String| PinError::Unreachable {
            buffer: self.name().to_owned(),
            importer,
            reason,
        };
        let (importer, wanted, is_fitting) = {
            let mut state = self.state();
            let backing = state.backing.clone();
            let Some(entry) = state.entry(core.id()) else {
                return Ok(());
            };
            let importer = entry.name.to_string();
            let own = entry.constraint.clone();
            let is_fitting = own.objection(&backing).is_none();
            let mut others = state.entries.iter();
            let all = others.try_fold(own, |all, entry| all.intersect(&entry.constraint));
            (importer, all, is_fitting)
        };
        let Some(wanted) = wanted else {
            let reason = "no memory serves all that are attached".to_owned();
            return Err(unreachable(importer, reason));
        };
        if is_fitting && wanted.objection(&self.backing()).is_none() {
            return Ok(());
        }
        match self.move_to(&wanted) {
            Ok(_) => Ok(()),
            Err(error @ (MoveError::Static { .. } | MoveError::NoPlacement { .. })) => {
                Err(unreachable(importer, error.to_string()))
            }
            Err(MoveError::Moving { buffer }) => Err(PinError::Moving { buffer }),
            Err(MoveError::Revoked { buffer }) => Err(PinError::Revoked { buffer }),
            Err(error) => Err(PinError::Move {
                source: Box::new(error),
            }),
        }
    }

    /// The buffer is taken away from everyone; see
    /// [`SharedBuffer::revoke`](crate::SharedBuffer::revoke). The reservation is locked.
    pub(crate) fn tell_all(
        self: &Arc<Self>,
        state: &State,
    ) -> impl FnOnce(Generation) -> Answers + use<> {
        let told: SmallVec<[Told; 4]> = state.entries.iter().filter_map(Told::of).collect();
        let buffer = self.clone();
        move |generation| buffer.tell(told, generation, InvalidationReason::Revoke)
    }

    pub(crate) fn settle_answers(&self, answers: Answers) {
        self.settle(answers);
    }
}

/// Who has mapped this generation and is told.
fn mapped_dynamic(state: &State, generation: Generation) -> SmallVec<[Told; 4]> {
    state
        .entries
        .iter()
        .filter(|entry| entry.kind == Kind::Dynamic && entry.maps_of(generation) > 0)
        .filter_map(Told::of)
        .collect()
}
