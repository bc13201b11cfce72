//! Commits: fences first, then the check, then the reservations, then one ioctl.

use std::borrow::Borrow;
use std::io;
use std::sync::atomic::Ordering;

use dmashare::{Fence, ImplicitFences, Mapping, SubmitError};
use nix::libc;
use smallvec::SmallVec;

use crate::card::Card;
use crate::card::event::CommitId;
use crate::card::state::Freed;
use crate::commit::attempt::{Attempt, OutFences, Outcome};
use crate::commit::in_fences::InFences;
use crate::commit::pins::Pins;
use crate::commit::{Commit, OutputCommit, PlaneCommit};
use crate::device::master;
use crate::error::CommitError;
use crate::kms::output::Output;

/// How often a commit starts again because fences were added to its buffers meanwhile.
const ROUNDS: usize = 8;

impl Card {
    /// Shows a buffer on an output, unscaled from the left upper corner, in the mode that is set, or
    /// else in the output's preferred one. All other planes of the output go off. Short for
    /// [`commit`](Self::commit) with one [`PlaneCommit::primary`].
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn present(
        &self,
        output: &Output,
        mapping: &Mapping<Card>,
        fence: Option<&Fence>,
    ) -> Result<CommitId, CommitError> {
        let mut plane = PlaneCommit::primary(mapping);
        plane.fence = fence.cloned();
        self.commit(Commit::new().output(OutputCommit::new(output).plane(plane)))
    }

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

    /// Like [`commit`](Self::commit), and also gives a sync_file for each output that is on
    /// (`OUT_FENCE_PTR`).
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
        // The pins of one round are dropped when the next round has its own: no buffer moves in
        // between.
        let mut pinned = Pins::default();
        let mut rounds = 0;
        while rounds < ROUNDS {
            let mut freed = Freed::new();
            let mut pins = Pins::default();
            let outcome = {
                let mut state = inner.state();
                let outcome = Attempt::new(inner, &mut state, commit, &fences, &mut pins)
                    .and_then(|attempt| attempt.run(&implicit, out_fences.as_deref_mut()));
                // A buffer whose output others switched off is free without an event.
                state.release(&mut freed);
                inner.held.store(state.held(), Ordering::Release);
                outcome
            };
            drop(freed);
            drop(std::mem::replace(&mut pinned, pins));
            match outcome? {
                Outcome::Done(id, unpublished) => {
                    if let Some(unpublished) = unpublished {
                        unpublished.publish();
                    }
                    return Ok(id);
                }
                Outcome::Contended(contended) => {
                    contended.wait()?;
                    continue;
                }
                Outcome::Uncovered(uncovered) => {
                    for (fence, buffer) in &uncovered {
                        fences.cover(fence, buffer)?;
                    }
                    in_the_way = uncovered.into_iter().next();
                }
                Outcome::RefusesInFences => {
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
