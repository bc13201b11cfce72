//! The pins of a commit. The display reads a buffer for an unlimited time and does not check fences
//! meanwhile, so the buffer must not move. Pins are taken before the reservations are locked. Once the
//! kernel has accepted the commit, the card's state owns them; the pins of a failed commit are
//! dropped.

use dmashare::{MappingUse, Moment, PinGuard};
use smallvec::SmallVec;

use crate::card::state::State;
use crate::commit::plan::Plan;
use crate::error::CommitError;

/// Pins of the newly shown buffers and writeback targets of a commit. Like
/// [`Held`](crate::card::held_buffer::Held), this must not be dropped while the card's state is locked.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    /// One per plane of the plan; `None` if the plane keeps its buffer, which is already pinned.
    planes: SmallVec<[Option<PinGuard>; 8]>,
    /// One per output of the plan; `None` if the output is not captured.
    targets: SmallVec<[Option<PinGuard>; 2]>,
}

impl Pins {
    /// Pins the buffers of the plan. After an error, `self` owns the pins that were taken so far.
    pub(crate) fn take(&mut self, state: &State, plan: &Plan<'_>) -> Result<(), CommitError> {
        let mut now = None;
        // A steady flip needs no clock read: it uses the time of the last flip event.
        let mut since = || {
            let known = state.last_event.or(now);
            *now.insert(known.unwrap_or_else(Moment::now))
        };
        for plane in &plan.planes {
            let mapping = &plane.commit.mapping;
            let current = state.planes[plane.plane].current();
            let stays = current.is_some_and(|held| held.is(mapping, plane.output.id()));
            let pin = if stays {
                None
            } else {
                let label = &plane.output.connector().scanout_label;
                Some(mapping.hold_in_place(label, since())?)
            };
            self.planes.push(pin);
        }
        for output in &plan.outputs {
            let target = output.commit.writeback.as_ref();
            let pin = match target.filter(|_| output.commit.active) {
                Some(target) => {
                    let label = &output.commit.output.connector().writeback_label;
                    Some(target.hold_in_place(label, since())?)
                }
                None => None,
            };
            self.targets.push(pin);
        }
        Ok(())
    }

    /// The new reads and writes of the commit. A buffer that stays on its plane adds no read.
    pub(crate) fn uses(&self, plan: &Plan<'_>) -> SmallVec<[MappingUse; 8]> {
        let shown = plan.planes.iter().zip(&self.planes);
        let shown = shown
            .filter(|(_, pin)| pin.is_some())
            .map(|(plane, _)| plane.commit.mapping.read());
        let targets = plan.outputs.iter();
        let captured = targets
            .filter_map(|output| output.commit.writeback.as_ref())
            .map(dmashare::Mapping::write);
        shown.chain(captured).collect()
    }

    /// Takes the pin of the plan's `index`-th plane, if its buffer is newly shown.
    pub(crate) fn plane(&mut self, index: usize) -> Option<PinGuard> {
        self.planes.get_mut(index)?.take()
    }

    /// Takes the pin of the writeback target of the plan's `index`-th output.
    pub(crate) fn target(&mut self, index: usize) -> Option<PinGuard> {
        self.targets.get_mut(index)?.take()
    }
}
