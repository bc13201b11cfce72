//! The pins of a commit: what the display is about to read for good, and without fences, must not
//! move. They are taken before the reservations are, and handed to what the card shows once the
//! kernel has accepted the commit; those of a commit that fails are dropped.

use dmashare::{MappingUse, Moment, PinGuard};
use smallvec::SmallVec;

use crate::card::state::State;
use crate::commit::plan::Plan;
use crate::error::CommitError;

/// Pins of what a commit newly shows, and of what it captures into. Dropped like
/// [`Held`](crate::held::Held): not while the card's state is locked.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    /// For each plane of the plan; `None` if the buffer stays on it, which is pinned already.
    planes: SmallVec<[Option<PinGuard>; 8]>,
    /// For each output of the plan; `None` if it is not captured.
    targets: SmallVec<[Option<PinGuard>; 2]>,
}

impl Pins {
    /// Pins. After an error the pins that were taken are here, to be dropped.
    pub(crate) fn take(&mut self, state: &State, plan: &Plan<'_>) -> Result<(), CommitError> {
        let mut now = None;
        // A steady flip asks no clock: the time of its predecessor's event is known.
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

    /// What the commit newly reads and writes. A buffer that stays on its plane is read already.
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

    /// The pin of the plan's `index`-th plane, if its buffer is newly shown.
    pub(crate) fn plane(&mut self, index: usize) -> Option<PinGuard> {
        self.planes.get_mut(index)?.take()
    }

    /// The pin of the target of the plan's `index`-th output.
    pub(crate) fn target(&mut self, index: usize) -> Option<PinGuard> {
        self.targets.get_mut(index)?.take()
    }
}
