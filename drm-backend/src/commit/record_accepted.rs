//! Recording of a commit that the kernel has accepted.

use dmashare::{Fence, MappingUse, SyncFile};
use smallvec::SmallVec;

use crate::card::CardInner;
use crate::card::capture::Capture;
use crate::card::configuration::Configuration;
use crate::card::event::CommitId;
use crate::card::held_buffer::Held;
use crate::commit::attempt::{Attempt, OutFences};
use crate::commit::build_request::{capture_slot, out_fence_slot};
use crate::commit::plan::Plan;
use crate::kms::snapshot::Foreign;

/// Whether this commit or a later one causes a flip event for a CRTC. That is so if the CRTC is in the
/// commit, is on, or is switched off by the commit because another program had it on. Any other CRTC
/// was already off when this process became master.
fn flips(
    inner: &CardInner,
    foreign: &Foreign,
    next: &Configuration,
    plan: &Plan<'_>,
    crtc: usize,
) -> bool {
    let id = inner.resources.crtcs[crtc].id;
    next.crtcs[crtc].is_some()
        || plan.outputs.iter().any(|output| output.crtc == Some(crtc))
        || foreign.crtcs.iter().any(|foreign| foreign.id == id)
}

impl Attempt<'_> {
    /// Records which planes show nothing. This includes planes that were active before another process
    /// became master: the first commit after that disables all planes that it does not list.
    pub(crate) fn hide(&mut self, id: CommitId) {
        let (inner, plan) = (self.inner, &self.plan);
        let state = &mut *self.state;
        for (timeline, next) in state.planes.iter_mut().zip(&state.next.planes) {
            if next.is_none() {
                timeline.hide(id, |crtc| {
                    flips(inner, &state.foreign, &state.next, plan, crtc)
                });
            }
        }
    }

    /// Records what each plane shows and what is captured. Returns the fence of each new use.
    pub(crate) fn record_accepted(&mut self, id: CommitId) -> SmallVec<[(MappingUse, Fence); 8]> {
        for output in &self.plan.outputs {
            let Some(crtc) = output.crtc else { continue };
            let queue = &mut self.state.crtcs[crtc].pending;
            queue.push_back((id, output.commit.output.id()));
        }
        self.hide(id);
        let (inner, plan) = (self.inner, &self.plan);
        let (state, pins) = (&mut *self.state, &mut *self.pins);
        let mut fences = SmallVec::new();
        for (index, plane) in plan.planes.iter().enumerate() {
            if let Some(pin) = pins.plane(index) {
                let mapping = &plane.commit.mapping;
                let timeline = &mut state.planes[plane.plane];
                fences.push((mapping.read(), timeline.next_fence()));
                let flips = |crtc| flips(inner, &state.foreign, &state.next, plan, crtc);
                let held = Held::new(mapping, plane.output.id(), pin);
                timeline.show(held, plane.crtc, id, flips);
            }
        }
        for (index, output) in plan.outputs.iter().enumerate() {
            let (Some(crtc), Some(target)) = (output.crtc, &output.commit.writeback) else {
                continue;
            };
            let fence = state.slots.take(capture_slot(index));
            // An output that is switched off captures nothing. The pin is taken last so that it is
            // not dropped here.
            let Some((fence, pin)) = fence.and_then(|fence| Some((fence, pins.target(index)?)))
            else {
                continue;
            };
            let fence = SyncFile::from_kernel(fence);
            state.last_capture += 1;
            let serial = state.last_capture;
            let held = Held::new(target, output.commit.output.id(), pin);
            let capture = Capture::new(serial, id, held, fence);
            fences.push((target.write(), capture.fence()));
            state.captures.push(capture);
            for index in 0..state.planes.len() {
                if state.next.planes[index].is_some_and(|plane| plane.crtc == crtc) {
                    state.planes[index].capture(serial);
                }
            }
        }
        std::mem::swap(&mut state.current, &mut state.next);
        state.foreign = Foreign::default();
        fences
    }

    /// Takes the out-fences of a commit that the kernel has accepted.
    pub(crate) fn take_out_fences(&mut self, out_fences: &mut OutFences) {
        for (index, output) in self.plan.outputs.iter().enumerate() {
            if let Some(fence) = self.state.slots.take(out_fence_slot(index)) {
                out_fences.push((output.commit.output.id(), SyncFile::from_kernel(fence)));
            }
        }
    }
}
