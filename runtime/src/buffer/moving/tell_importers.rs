//! Notifies importers that their mappings go stale, under the reservation.

use std::any::Any;
use std::sync::{Arc, Weak};

use smallvec::SmallVec;

use crate::buffer::BufferInner;
use crate::buffer::callback_gate::{CallbackGate, Called, wait_for_closed};
use crate::buffer::invalidation::{InvalidationContext, InvalidationReason};
use crate::buffer::state::{Entry, MapCache, Marks, State};
use crate::fence::Fence;
use crate::fence::reservation::Removed;
use crate::fence::set::FenceSet;
use crate::ids::AttachmentId;
use crate::memory::backing::Generation;

/// An attachment to notify.
pub(crate) struct Told {
    id: AttachmentId,
    gate: Arc<CallbackGate>,
    /// Weak, because the mapping in it keeps the attachment, which may be dropped before it is
    /// notified.
    cache: Option<Weak<dyn MapCache>>,
    marks: Arc<Marks>,
}

impl Told {
    fn of(entry: &Entry) -> Option<Self> {
        Some(Self {
            id: entry.id,
            gate: entry.gate.clone()?,
            cache: entry.cache.clone(),
            marks: entry.marks.clone(),
        })
    }

    /// The attachments with a callback that have mapped this generation.
    pub(crate) fn mapping(state: &State, generation: Generation) -> SmallVec<[Self; 4]> {
        let entries = state.entries.iter();
        entries
            .filter(|entry| entry.maps_of(generation) > 0)
            .filter_map(Self::of)
            .collect()
    }

    /// All attachments with a callback, mapped or not.
    pub(crate) fn all(state: &State) -> SmallVec<[Self; 4]> {
        state.entries.iter().filter_map(Self::of).collect()
    }
}

/// What the callbacks asked for. It is settled when nothing is locked.
#[derive(Default)]
pub(crate) struct Answers {
    /// Fences that the callbacks have added.
    fences: FenceSet,
    detach: SmallVec<[AttachmentId; 4]>,
    mappings: SmallVec<[Box<dyn Any + Send>; 4]>,
    caches: SmallVec<[Arc<dyn MapCache>; 4]>,
    told: SmallVec<[Told; 4]>,
    pub(crate) removed: Removed,
}

impl Answers {
    /// The fences of all work that is in flight on the buffer now, and those that the callbacks have
    /// added. Leaves out `but`, the fence of the move that waits for them.
    pub(crate) fn in_flight(&self, buffer: &BufferInner, but: Option<&Fence>) -> FenceSet {
        let mut all = buffer.reservation().unfinished(but);
        for fence in self.fences.iter() {
            all.insert(fence.clone());
        }
        all
    }
}

impl BufferInner {
    /// Calls the callbacks, one after the other. The reservation is locked.
    pub(crate) fn tell(
        self: &Arc<Self>,
        told: SmallVec<[Told; 4]>,
        generation: Generation,
        reason: InvalidationReason,
    ) -> Answers {
        let mut answers = Answers::default();
        for one in &told {
            let unpin = || self.unpin_all(one.id);
            let context = InvalidationContext::new(
                self.name(),
                self.reservation(),
                &unpin,
                one.id,
                generation,
                reason,
            );
            let called = one.gate.call(&context);
            tracing::debug!(id = ?one.id, generation = generation.as_u64(), ?reason, ?called, "told");
            if called == Called::Panicked {
                one.marks.declare_dead();
            }
            for fence in context.fences().iter() {
                answers.fences.insert(fence.clone());
            }
            if context.wants_detach() {
                self.begin_detach(one.id);
                answers.detach.push(one.id);
            }
            answers.removed.extend(context.into_removed());
            // The attachment's own mapping is released here, so a callback need only set a flag.
            if let Some(cache) = one.cache.as_ref().and_then(Weak::upgrade) {
                answers.mappings.extend(cache.take());
                answers.caches.push(cache);
            }
        }
        answers.told = told;
        answers
    }

    /// Drops what could not be dropped under the reservation, and does the detaches that callbacks
    /// asked for.
    pub(crate) fn settle(&self, answers: Answers) {
        let detach = answers.detach.clone();
        drop(answers);
        for id in detach {
            self.detach(id);
        }
        wait_for_closed();
    }
}
