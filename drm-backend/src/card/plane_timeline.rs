//! Tracks the buffers that a plane shows or that are still being read, and when each becomes free.
//!
//! A buffer is free once the flip event of the commit that replaced it has arrived (or that of a later
//! commit), and every writeback that captured it has completed. The flip event alone is not enough: when
//! a buffer was redrawn at that point with a writeback still pending, most of the captured pixels were
//! corrupted.

use std::collections::VecDeque;

use dmashare::{Fence, SoftwareTimeline};
use smallvec::SmallVec;

use crate::card::event::CommitId;

/// One buffer on one plane, from the commit that shows it until the buffer is free. `M` is whatever
/// keeps the buffer alive, such as a mapping.
#[derive(Debug)]
struct PlaneUse<M> {
    mapping: M,
    crtc: usize,
    point: u64,
    /// The commit that shows the buffer.
    shown_by: CommitId,
    /// Whether `shown_by` has reached the screen.
    on_screen: bool,
    /// The commit that replaces the buffer.
    replaced_by: Option<CommitId>,
    /// Whether the plane no longer reads the buffer: `replaced_by` is on the screen, or the CRTC is off.
    ended: bool,
    /// Captures that may still read the buffer.
    captures: SmallVec<[u64; 2]>,
}

/// The buffers of one plane. Point `n` of the timeline belongs to the `n`-th buffer that the plane shows.
/// Points signal in order, so a buffer's fence also waits for all earlier buffers to be free.
#[derive(Debug)]
pub(crate) struct PlaneTimeline<M> {
    timeline: SoftwareTimeline,
    last_point: u64,
    uses: VecDeque<PlaneUse<M>>,
}

impl<M> PlaneTimeline<M> {
    /// Creates an empty timeline whose fences report `producer` as their producer.
    pub(crate) fn new(producer: String) -> Self {
        Self {
            timeline: SoftwareTimeline::new(producer),
            last_point: 0,
            uses: VecDeque::with_capacity(8),
        }
    }

    /// The buffer that the plane shows as of the last commit.
    pub(crate) fn current(&self) -> Option<&M> {
        self.uses
            .back()
            .filter(|used| used.replaced_by.is_none())
            .map(|used| &used.mapping)
    }

    /// All buffers that the plane holds.
    pub(crate) fn held(&self) -> impl Iterator<Item = &M> {
        self.uses.iter().map(|used| &used.mapping)
    }

    /// The fence for the next buffer that the plane shows.
    pub(crate) fn next_fence(&self) -> Fence {
        self.timeline.fence(self.last_point + 1)
    }

    /// Records that `commit` shows `mapping`. The buffer's fence is the one that
    /// [`next_fence`](Self::next_fence) returned. `flips` is as for [`hide`](Self::hide).
    pub(crate) fn show(
        &mut self,
        mapping: M,
        crtc: usize,
        commit: CommitId,
        flips: impl FnOnce(usize) -> bool,
    ) {
        self.hide(commit, flips);
        self.last_point += 1;
        self.uses.push_back(PlaneUse {
            mapping,
            crtc,
            point: self.last_point,
            shown_by: commit,
            on_screen: false,
            replaced_by: None,
            ended: false,
            captures: SmallVec::new(),
        });
    }

    /// Records that `commit` disables the plane. `flips` returns whether a flip event will arrive for a
    /// CRTC. If not, another process has switched the CRTC off, and it no longer reads the buffer.
    pub(crate) fn hide(&mut self, commit: CommitId, flips: impl FnOnce(usize) -> bool) {
        let last = self.uses.back_mut();
        if let Some(used) = last.filter(|used| used.replaced_by.is_none()) {
            used.replaced_by = Some(commit);
            used.ended = !flips(used.crtc);
        }
    }

    /// Records that a capture reads the current buffer.
    pub(crate) fn capture(&mut self, capture: u64) {
        if let Some(used) = self.uses.back_mut()
            && used.replaced_by.is_none()
        {
            used.captures.push(capture);
        }
    }

    /// Records that a capture has completed.
    pub(crate) fn captured(&mut self, capture: u64) {
        for used in &mut self.uses {
            used.captures.retain(|pending| *pending != capture);
        }
    }

    /// Records that `commit` is on the screen of a CRTC. The plane no longer reads the buffers that this or
    /// an earlier commit replaced there. Calls `appeared` for each buffer that is newly on the screen.
    pub(crate) fn flipped(&mut self, crtc: usize, commit: CommitId, mut appeared: impl FnMut(&M)) {
        for used in self.uses.iter_mut().filter(|used| used.crtc == crtc) {
            if used.replaced_by.is_some_and(|by| by <= commit) {
                used.ended = true;
            } else if !used.on_screen && used.shown_by <= commit {
                used.on_screen = true;
                appeared(&used.mapping);
            }
        }
    }

    /// Signals the fences of all buffers that are now free, and passes each buffer to `freed`.
    pub(crate) fn release(&mut self, mut freed: impl FnMut(M)) {
        while let Some(used) = self.uses.front() {
            if !used.ended || !used.captures.is_empty() {
                break;
            }
            self.timeline.signal(used.point);
            if let Some(used) = self.uses.pop_front() {
                freed(used.mapping);
            }
        }
    }

    /// Signals all fences and passes all buffers to `freed`, because the card is closed.
    pub(crate) fn close(&mut self, mut freed: impl FnMut(M)) {
        self.timeline.signal(self.last_point);
        for used in self.uses.drain(..) {
            freed(used.mapping);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dmashare::FenceStatus;
    use proptest::prelude::*;

    fn commit(number: u64) -> CommitId {
        CommitId::new(number)
    }

    /// A flip event will arrive for every CRTC.
    const FLIPS: fn(usize) -> bool = |_| true;

    fn released(plane: &mut PlaneTimeline<u32>) -> Vec<u32> {
        let mut freed = Vec::new();
        plane.release(|mapping| freed.push(mapping));
        freed
    }

    #[test]
    fn a_buffer_is_free_with_the_flip_of_the_next() {
        let mut plane = PlaneTimeline::new("plane".to_owned());
        let fence = plane.next_fence();
        plane.show(1, 0, commit(1), FLIPS);
        let mut appeared = Vec::new();
        for _ in 0..2 {
            plane.flipped(0, commit(1), |mapping| appeared.push(*mapping));
        }
        assert_eq!(appeared, [1]);
        assert!(released(&mut plane).is_empty());
        plane.show(2, 0, commit(2), FLIPS);
        assert!(released(&mut plane).is_empty());
        assert_eq!(fence.status(), FenceStatus::Pending);
        plane.flipped(0, commit(2), |_| {});
        assert_eq!(released(&mut plane), [1]);
        assert_eq!(fence.status(), FenceStatus::Signalled);
        assert_eq!(plane.current(), Some(&2));
    }

    #[test]
    fn a_pending_capture_keeps_it() {
        let mut plane = PlaneTimeline::new("plane".to_owned());
        let fence = plane.next_fence();
        plane.show(1, 0, commit(1), FLIPS);
        plane.capture(7);
        plane.show(2, 0, commit(2), FLIPS);
        plane.flipped(0, commit(2), |_| {});
        assert!(released(&mut plane).is_empty());
        assert_eq!(fence.status(), FenceStatus::Pending);
        plane.captured(7);
        assert_eq!(released(&mut plane), [1]);
        assert_eq!(fence.status(), FenceStatus::Signalled);
    }

    #[test]
    fn another_crtc_does_not_free_it() {
        let mut plane = PlaneTimeline::new("plane".to_owned());
        plane.show(1, 0, commit(1), FLIPS);
        plane.hide(commit(2), FLIPS);
        plane.flipped(1, commit(2), |_| {});
        assert!(released(&mut plane).is_empty());
        plane.flipped(0, commit(2), |_| {});
        assert_eq!(released(&mut plane), [1]);
        assert_eq!(plane.current(), None);
    }

    #[test]
    fn a_crtc_that_others_switched_off_frees_it_at_once() {
        let off = |crtc| crtc != 1;
        let mut plane = PlaneTimeline::new("plane".to_owned());
        let fence = plane.next_fence();
        plane.show(1, 1, commit(1), FLIPS);
        plane.show(2, 1, commit(2), FLIPS);
        // Buffer 3 is on another CRTC, whose flip events do not release buffer 2.
        plane.show(3, 0, commit(3), off);
        // Buffer 1 still waits for the flip of commit 2, and buffer 2 cannot signal before buffer 1.
        assert!(released(&mut plane).is_empty());
        assert_eq!(fence.status(), FenceStatus::Pending);
        plane.flipped(1, commit(2), |_| {});
        assert_eq!(released(&mut plane), [1, 2]);
        // A second `hide` changes nothing: the buffer still waits for the flip of the commit that hid it
        // first.
        plane.hide(commit(4), FLIPS);
        plane.hide(commit(5), |_| false);
        assert!(released(&mut plane).is_empty());
        plane.flipped(0, commit(4), |_| {});
        assert_eq!(released(&mut plane), [3]);
    }

    #[test]
    fn closing_signals_everything() {
        let mut plane = PlaneTimeline::new("plane".to_owned());
        plane.show(1, 0, commit(1), FLIPS);
        let fence = plane.next_fence();
        plane.show(2, 0, commit(2), FLIPS);
        let mut freed = Vec::new();
        plane.close(|mapping| freed.push(mapping));
        assert_eq!(freed, [1, 2]);
        assert_eq!(fence.status(), FenceStatus::Signalled);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Show { captured: bool },
        Hide,
        FlipNext,
        CaptureEnds(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            any::<bool>().prop_map(|captured| Step::Show { captured }),
            Just(Step::Hide),
            Just(Step::FlipNext),
            (0_usize..4).prop_map(Step::CaptureEnds),
        ]
    }

    proptest! {
        /// Whatever the order of events, a buffer's fence signals exactly when the buffer and all earlier
        /// ones are free by the rule in the module documentation.
        #[test]
        fn no_buffer_is_freed_early_and_none_is_kept(steps in proptest::collection::vec(step(), 0..60)) {
            let mut plane = PlaneTimeline::new("plane".to_owned());
            // The model: fence, replaced by, captures pending.
            let mut model: Vec<(Fence, Option<u64>, Vec<u64>)> = Vec::new();
            let mut captures: Vec<u64> = Vec::new();
            let (mut last_commit, mut last_flip, mut next_capture) = (0, 0, 0);
            for step in steps {
                match step {
                    Step::Show { captured } => {
                        last_commit += 1;
                        if let Some((_, replaced, _)) = model.last_mut() {
                            replaced.get_or_insert(last_commit);
                        }
                        model.push((plane.next_fence(), None, Vec::new()));
                        plane.show(model.len(), 0, commit(last_commit), FLIPS);
                        if captured {
                            next_capture += 1;
                            plane.capture(next_capture);
                            captures.push(next_capture);
                            model.last_mut().unwrap().2.push(next_capture);
                        }
                    }
                    Step::Hide => {
                        last_commit += 1;
                        if let Some((_, replaced, _)) = model.last_mut() {
                            replaced.get_or_insert(last_commit);
                        }
                        plane.hide(commit(last_commit), FLIPS);
                    }
                    Step::FlipNext => {
                        last_flip = (last_flip + 1).min(last_commit);
                        plane.flipped(0, commit(last_flip), |_| {});
                    }
                    Step::CaptureEnds(index) if !captures.is_empty() => {
                        let ended = captures.remove(index % captures.len());
                        plane.captured(ended);
                        for (_, _, pending) in &mut model {
                            pending.retain(|capture| *capture != ended);
                        }
                    }
                    Step::CaptureEnds(_) => {}
                }
                plane.release(|_| {});
                let mut all_before = true;
                for (fence, replaced, pending) in &model {
                    let free = replaced.is_some_and(|by| by <= last_flip) && pending.is_empty();
                    all_before &= free;
                    prop_assert_eq!(fence.status() == FenceStatus::Signalled, all_before);
                }
            }
        }
    }
}
