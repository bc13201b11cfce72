//! A single commit attempt, with the card's state locked.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use dmashare::{
    Contended, Fence, FenceStatus, ImplicitFences, Submission, SyncFile, TryBeginError, Unpublished,
};
use drm_ffi::{
    DRM_MODE_ATOMIC_ALLOW_MODESET, DRM_MODE_ATOMIC_NONBLOCK, DRM_MODE_ATOMIC_TEST_ONLY,
    DRM_MODE_PAGE_FLIP_EVENT,
};
use nix::libc;
use smallvec::SmallVec;

use crate::card::event::CommitId;
use crate::card::state::State;
use crate::card::{CardInner, dispatch};
use crate::commit::Commit;
use crate::commit::in_fences::InFences;
use crate::commit::pins::Pins;
use crate::commit::plan::Plan;
use crate::error::CommitError;
use crate::kms::output::OutputId;
use crate::sys::atomic;

/// Out-fences of a commit. Each signals when the commit has reached the output's screen.
pub type OutFences = SmallVec<[(OutputId, SyncFile); 2]>;

/// The outcome of one attempt.
pub(crate) enum Outcome {
    /// The kernel accepted the commit. `None` if there was nothing to do.
    Done(CommitId, Option<Unpublished>),
    /// The buffers' reservations hold pending fences that the display would not wait for. Each fence
    /// comes with the name of its buffer.
    Uncovered(SmallVec<[(Fence, String); 4]>),
    /// The driver does not accept in-fences.
    RefusesInFences,
    /// Another thread is submitting work on one of the buffers.
    Contended(Contended),
}

/// A commit attempt: the commit, the locked state of the card, and the fences, pins and plan so far.
pub(crate) struct Attempt<'a> {
    pub(crate) inner: &'a Arc<CardInner>,
    pub(crate) state: &'a mut State,
    pub(crate) commit: &'a Commit,
    pub(crate) fences: &'a InFences,
    pub(crate) pins: &'a mut Pins,
    pub(crate) plan: Plan<'a>,
}

impl<'a> Attempt<'a> {
    /// Plans the commit and pins its buffers.
    pub(crate) fn new(
        inner: &'a Arc<CardInner>,
        state: &'a mut State,
        commit: &'a Commit,
        fences: &'a InFences,
        pins: &'a mut Pins,
    ) -> Result<Self, CommitError> {
        let plan = Plan::new(inner, state, commit)?;
        pins.take(state, &plan)?;
        Ok(Self {
            inner,
            state,
            commit,
            fences,
            pins,
            plan,
        })
    }

    /// Checks the commit with the driver, locks the reservations, and submits it to the kernel.
    pub(crate) fn run(
        mut self,
        implicit: &ImplicitFences,
        out_fences: Option<&mut OutFences>,
    ) -> Result<Outcome, CommitError> {
        let mut blobs = self.build_request(out_fences.is_some())?;
        if self.state.request.is_empty() {
            return Ok(self.nothing_to_do());
        }
        let modeset = if self.plan.modeset {
            DRM_MODE_ATOMIC_ALLOW_MODESET
        } else {
            0
        };
        if !self.state.accepted.contains(&self.state.next) {
            let tests = &self.inner.statistics.tests;
            tests.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = self.ioctl(DRM_MODE_ATOMIC_TEST_ONLY | modeset, 0) {
                return self.failed(error);
            }
            self.state.accepted.insert(&self.state.next);
        }
        if self.state.foreign.sleeps() {
            self.build_request_for_sleeping();
            self.inner.restore.taint();
            if let Err(error) = self.ioctl(DRM_MODE_ATOMIC_ALLOW_MODESET, 0) {
                return self.failed(error);
            }
            self.state.foreign.forget_sleeping();
            blobs = self.build_request(out_fences.is_some())?;
            if self.state.request.is_empty() {
                return Ok(self.nothing_to_do());
            }
        }

        // This must not block: the thread that holds the reservation may be waiting for the card's lock.
        let begun = Submission::try_begin_with(self.pins.uses(&self.plan), implicit);
        let submission = match begun {
            Ok(submission) => submission,
            Err(TryBeginError::Contended(contended)) => return Ok(Outcome::Contended(contended)),
            Err(TryBeginError::Submit(error)) => return Err(error.into()),
        };
        let uncovered = uncovered(&submission, self.fences);
        if !uncovered.is_empty() {
            return Ok(Outcome::Uncovered(uncovered));
        }
        // An id is never reused, even if the commit fails, because events identify a commit by its id.
        let id = self.next_id();
        let flags = DRM_MODE_PAGE_FLIP_EVENT | DRM_MODE_ATOMIC_NONBLOCK | modeset;
        self.inner.restore.taint();
        if let Err(error) = self.ioctl(flags, id.as_u64()) {
            drop(submission);
            self.state.slots.close();
            if error.raw_os_error() != Some(libc::EBUSY) {
                self.state.accepted.clear();
            }
            return self.failed(error);
        }
        drop(blobs);
        let commits = &self.inner.statistics.commits;
        commits.fetch_add(1, Ordering::Relaxed);
        let new_fences = self.record_accepted(id);
        let unpublished = submission.commit_each(new_fences);
        if let Some(out_fences) = out_fences {
            self.take_out_fences(out_fences);
        }
        for capture in &mut self.state.captures {
            let token = dispatch::capture_token(capture.serial);
            capture.watch(&self.inner.epoll, token);
        }
        Ok(Outcome::Done(id, Some(unpublished)))
    }

    /// Completes a commit that has nothing (or nothing more) to submit.
    fn nothing_to_do(mut self) -> Outcome {
        let id = self.next_id();
        self.hide(id);
        Outcome::Done(id, None)
    }

    fn next_id(&mut self) -> CommitId {
        self.state.last_commit += 1;
        CommitId::new(self.state.last_commit)
    }

    fn ioctl(&mut self, flags: u32, user_data: u64) -> io::Result<()> {
        let ioctls = &self.inner.statistics.atomic_ioctls;
        ioctls.fetch_add(1, Ordering::Relaxed);
        atomic::commit(
            self.inner.device.as_fd(),
            flags,
            self.state.request.arrays(),
            &mut self.state.slots,
            user_data,
        )
    }
}

/// The pending fences of `submission` that the in-fences do not cover.
fn uncovered(submission: &Submission, fences: &InFences) -> SmallVec<[(Fence, String); 4]> {
    let mut uncovered = SmallVec::new();
    let visited = submission.visit_waits::<std::convert::Infallible>(|fence, _, buffer| {
        if fences.covers(fence) {
            return Ok(());
        }
        match fence.status() {
            FenceStatus::Pending => uncovered.push((fence.clone(), buffer.to_owned())),
            // Nothing is left to wait for. The kernel does the same: a failed in-fence does not stop a
            // flip from completing.
            FenceStatus::Failed(errno) => {
                tracing::warn!(%errno, buffer, producer = fence.producer(), "showing a buffer whose writer failed");
            }
            FenceStatus::Signalled => {}
        }
        Ok(())
    });
    match visited {
        Ok(()) => uncovered,
    }
}
