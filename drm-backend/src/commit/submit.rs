//! Commits: fences first, then the check, then the reservations, then one ioctl.

use std::borrow::Borrow;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use dmashare::{
    Contended, Fence, FenceStatus, ImplicitFences, Submission, SubmitError, SyncFile,
    TryBeginError, Unpublished,
};
use drm_ffi::{
    DRM_MODE_ATOMIC_ALLOW_MODESET, DRM_MODE_ATOMIC_NONBLOCK, DRM_MODE_ATOMIC_TEST_ONLY,
    DRM_MODE_PAGE_FLIP_EVENT,
};
use nix::libc;
use smallvec::SmallVec;

use crate::card::event::CommitId;
use crate::card::state::{Freed, State};
use crate::card::{Card, CardInner};
use crate::commit::Commit;
use crate::commit::build_request::{fill, fill_sleeping};
use crate::commit::explain_refusal::failed;
use crate::commit::in_fences::InFences;
use crate::commit::pins::Pins;
use crate::commit::plan::Plan;
use crate::commit::record_accepted::{hide, record, take_out_fences};
use crate::device::master;
use crate::error::CommitError;
use crate::kms::output::OutputId;
use crate::sys::atomic;

/// Fences of a commit's outputs: each signals when the commit is on that output's screen.
pub type OutFences = SmallVec<[(OutputId, SyncFile); 2]>;

/// How often a commit begins anew because fences were added to its buffers meanwhile.
const ROUNDS: usize = 8;

/// What one attempt came to.
pub(crate) enum Attempt {
    /// It is on its way. `None`: nothing was left to do.
    Done(CommitId, Option<Unpublished>),
    /// The buffers' reservations hold fences that the display would not have waited for, with the
    /// buffers' names.
    Uncovered(SmallVec<[(Fence, String); 4]>),
    /// The driver takes no in-fences.
    RefusesInFences,
    /// Another thread is submitting work on one of the buffers.
    Contended(Contended),
}

impl Card {
    /// Shows what `commit` says, at the next vertical blank after all fences have signalled. Does
    /// not wait for that: an [`Event::Flip`](crate::Event::Flip) comes for each output.
    ///
    /// Each buffer that is newly shown gets a read fence, and each writeback target a write fence,
    /// in its reservation. Through a dynamic attachment each gets a pin, too, called "scanout
    /// Virtual-1" and "writeback Virtual-1": a buffer cannot move while the display reads or writes
    /// it. The time that reports name for a pin of what is shown is that of the flip which brought
    /// it on the screen; before that flip, and for what is captured into, that of the card's last
    /// event. A read fence signals in [`dispatch`](Self::dispatch) once a later commit's flip event
    /// has arrived and every writeback of the commits that showed the buffer is over, or its plane
    /// or output was switched off, or the card is closed. Until then the card holds the mapping and
    /// the pin; those of a target until the capture is over. After
    /// [`acquire_master`](Self::acquire_master) the first commit frees what was on outputs that
    /// another process has switched off, unless it shows the same there.
    ///
    /// The display waits for the fences given and for those that the buffers' reservations hold
    /// (rendering that was submitted through this library). Of buffers with foreign holders
    /// ([`SyncMode::Implicit`](dmashare::SyncMode::Implicit)) it waits for the dma-buf's own as well,
    /// which the kernel itself ignores on a plane that has an in-fence; and what is captured into gets
    /// the capture's fence there. A driver that takes no in-fences (`EPERM`) has them waited for here,
    /// for a second at most.
    ///
    /// The driver checks the whole commit first (`TEST_ONLY`), unless it has accepted the same
    /// before: everything but framebuffers, fences and damage counts. So a steady flip is one ioctl.
    ///
    /// # Errors
    /// [`CommitError`] by cause; nothing has changed then, and nothing is pinned. A mapping of memory
    /// that its buffer has left is refused ([`SubmitError::Stale`](dmashare::SubmitError::Stale)):
    /// map its attachment again, and commit that.
    pub fn commit(&self, commit: impl Borrow<Commit>) -> Result<CommitId, CommitError> {
        self.submit(commit.borrow(), None)
    }

    /// The same, and a sync_file for each output that is on (`OUT_FENCE_PTR`).
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn commit_with_out_fences(
        &self,
        commit: impl Borrow<Commit>,
    ) -> Result<(CommitId, OutFences), CommitError> {
        let mut out_fences = OutFences::new();
        let id = self.submit(commit.borrow(), Some(&mut out_fences))?;
        Ok((id, out_fences))
    }

    fn submit(
        &self,
        commit: &Commit,
        mut out_fences: Option<&mut OutFences>,
    ) -> Result<CommitId, CommitError> {
        let inner = self.inner();
        inner.collect();
        if !inner.commits {
            let source = io::Error::from_raw_os_error(libc::EACCES);
            return Err(master::no_master(&inner.device, source).into());
        }
        let refuses = || inner.refuses_in_fences.load(Ordering::Relaxed);
        // A fence travels on a plane: without one there is nothing to hang it on.
        let on_cpu = refuses() || commit.planes().next().is_none();
        let mut fences = InFences::new(commit, on_cpu)?;
        // A plane that has any in-fence makes the kernel ignore the dma-buf's own, and this commit
        // may get one: so they are waited for like all others.
        let implicit = implicit_fences(commit)?;
        let mut in_the_way = None;
        // Those of one round are dropped when the next has its own: no buffer moves in between.
        let mut pinned = Pins::default();
        let mut rounds = 0;
        while rounds < ROUNDS {
            let mut freed = Freed::new();
            let mut pins = Pins::default();
            let attempt = {
                let mut state = inner.state();
                let attempt = attempt(
                    inner,
                    &mut state,
                    commit,
                    (&fences, &implicit),
                    &mut pins,
                    out_fences.as_deref_mut(),
                );
                // What others switched off is free without an event.
                state.release(&mut freed);
                inner.held.store(state.held(), Ordering::Release);
                attempt
            };
            drop(freed);
            drop(std::mem::replace(&mut pinned, pins));
            let attempt = attempt?;
            match attempt {
                Attempt::Done(id, unpublished) => {
                    if let Some(unpublished) = unpublished {
                        unpublished.publish();
                    }
                    return Ok(id);
                }
                Attempt::Contended(contended) => {
                    contended.wait()?;
                    continue;
                }
                Attempt::Uncovered(uncovered) => {
                    for (fence, buffer) in &uncovered {
                        fences.cover(fence, buffer)?;
                    }
                    in_the_way = uncovered.into_iter().next();
                }
                Attempt::RefusesInFences => {
                    inner.refuses_in_fences.store(true, Ordering::Relaxed);
                    fences = InFences::new(commit, true)?;
                }
            }
            rounds += 1;
        }
        let (producer, buffer) = in_the_way.map_or_else(
            || ("the driver".to_owned(), "a buffer".to_owned()),
            |(fence, buffer)| (fence.producer().to_owned(), buffer),
        );
        Err(CommitError::NotReady { buffer, producer })
    }
}

fn attempt(
    inner: &Arc<CardInner>,
    state: &mut State,
    commit: &Commit,
    (fences, implicit): (&InFences, &ImplicitFences),
    pins: &mut Pins,
    out_fences: Option<&mut OutFences>,
) -> Result<Attempt, CommitError> {
    let plan = Plan::new(inner, state, commit)?;
    pins.take(state, &plan)?;
    let mut blobs = fill(inner, state, &plan, fences, out_fences.is_some())?;
    if state.request.is_empty() {
        return Ok(nothing_to_do(inner, state, &plan));
    }
    let modeset = if plan.modeset {
        DRM_MODE_ATOMIC_ALLOW_MODESET
    } else {
        0
    };
    if !state.accepted.contains(&state.next) {
        inner.statistics.tests.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = ioctl(inner, state, DRM_MODE_ATOMIC_TEST_ONLY | modeset, 0) {
            return failed(inner, state, commit, fences, error);
        }
        state.accepted.insert(&state.next);
    }
    if state.foreign.sleeps() {
        fill_sleeping(inner, state);
        inner.restore.taint();
        if let Err(error) = ioctl(inner, state, DRM_MODE_ATOMIC_ALLOW_MODESET, 0) {
            return failed(inner, state, commit, fences, error);
        }
        state.foreign.forget_sleeping();
        blobs = fill(inner, state, &plan, fences, out_fences.is_some())?;
        if state.request.is_empty() {
            return Ok(nothing_to_do(inner, state, &plan));
        }
    }

    // Not waiting: whoever has the buffer may be waiting for the card.
    let submission = match Submission::try_begin_with(pins.uses(&plan), implicit) {
        Ok(submission) => submission,
        Err(TryBeginError::Contended(contended)) => return Ok(Attempt::Contended(contended)),
        Err(TryBeginError::Submit(error)) => return Err(error.into()),
    };
    let uncovered = uncovered(&submission, fences);
    if !uncovered.is_empty() {
        return Ok(Attempt::Uncovered(uncovered));
    }
    // A number is used once, even if the commit fails: events carry it.
    let id = next_id(state);
    let flags = DRM_MODE_PAGE_FLIP_EVENT | DRM_MODE_ATOMIC_NONBLOCK | modeset;
    inner.restore.taint();
    if let Err(error) = ioctl(inner, state, flags, id.as_u64()) {
        drop(submission);
        state.slots.close();
        if error.raw_os_error() != Some(libc::EBUSY) {
            state.accepted.clear();
        }
        return failed(inner, state, commit, fences, error);
    }
    drop(blobs);
    inner.statistics.commits.fetch_add(1, Ordering::Relaxed);
    let new_fences = record(inner, state, &plan, pins, id);
    let unpublished = submission.commit_each(new_fences);
    if let Some(out_fences) = out_fences {
        take_out_fences(state, &plan, out_fences);
    }
    for index in 0..state.captures.len() {
        let capture = &mut state.captures[index];
        capture.watch(
            &inner.epoll,
            crate::card::dispatch::capture_token(capture.serial),
        );
    }
    Ok(Attempt::Done(id, Some(unpublished)))
}

/// The dma-bufs' own fences, of what is shown and of what is captured into.
fn implicit_fences(commit: &Commit) -> Result<ImplicitFences, CommitError> {
    let shown = commit.planes().map(|plane| &plane.mapping);
    let shown = shown
        .filter(|mapping| mapping.has_foreign_holders())
        .map(dmashare::Mapping::read);
    let targets = commit.outputs.iter();
    let captured = targets
        .filter_map(|output| output.writeback.as_ref())
        .filter(|mapping| mapping.has_foreign_holders())
        .map(dmashare::Mapping::write);
    let uses: SmallVec<[dmashare::MappingUse; 4]> = shown.chain(captured).collect();
    Ok(ImplicitFences::collect(&uses).map_err(SubmitError::from)?)
}

/// The card is as the commit says already, or nothing else is left to do.
fn nothing_to_do(inner: &CardInner, state: &mut State, plan: &Plan<'_>) -> Attempt {
    let id = next_id(state);
    hide(inner, state, plan, id);
    Attempt::Done(id, None)
}

fn next_id(state: &mut State) -> CommitId {
    state.last_commit += 1;
    CommitId::new(state.last_commit)
}

fn ioctl(inner: &CardInner, state: &mut State, flags: u32, user_data: u64) -> io::Result<()> {
    inner
        .statistics
        .atomic_ioctls
        .fetch_add(1, Ordering::Relaxed);
    atomic::commit(
        inner.device.as_fd(),
        flags,
        state.request.arrays(),
        &mut state.slots,
        user_data,
    )
}

/// The fences that the work must wait for and would not.
fn uncovered(submission: &Submission, fences: &InFences) -> SmallVec<[(Fence, String); 4]> {
    let mut uncovered = SmallVec::new();
    let visited = submission.visit_waits::<std::convert::Infallible>(|fence, _, buffer| {
        if fences.covers(fence) {
            return Ok(());
        }
        match fence.status() {
            FenceStatus::Pending => uncovered.push((fence.clone(), buffer.to_owned())),
            // Nobody can wait for it any more. The kernel, too, lets a flip through when the fence
            // that it waits for fails.
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
