//! Submission of commits: export the fences, check, lock the reservations, issue one ioctl.

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

/// Maximum number of attempts of one commit. An attempt is repeated when its buffers have gained
/// fences in the meantime.
const ROUNDS: usize = 8;

impl Card {
    /// Shows a buffer on an output, unscaled at the top left corner, in the current mode or, if none is
    /// set, in the output's preferred mode. All other planes of the output are disabled. Shorthand for
    /// [`commit`](Self::commit) with one [`PlaneCommit::primary`].
    ///
    /// # Errors
    /// Same as [`commit`](Self::commit).
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

    /// Submits `commit` to the kernel. It takes effect at the next vertical blank after all fences have
    /// signalled. This does not wait for that; an [`Event::Flip`](crate::Event::Flip) reports it for
    /// each output.
    ///
    /// The reservation of each newly shown buffer gets a read fence, and that of each writeback target
    /// a write fence. A buffer that is mapped through a dynamic attachment is also pinned, as "scanout
    /// Virtual-1" or "writeback Virtual-1", so that it cannot move while the display accesses it.
    /// Reports date the pin of a shown buffer from the flip that brought it to the screen; before
    /// that flip, and for writeback targets, they date it from the card's last event.
    ///
    /// A read fence signals in [`dispatch`](Self::dispatch) once a later commit's flip event has
    /// arrived and every writeback of the commits that showed the buffer has completed, or once its
    /// plane or output was switched off, or the card is closed. Until then the card holds the mapping
    /// and the pin. It holds those of a writeback target until the capture completes. The first
    /// commit after [`acquire_master`](Self::acquire_master) releases the buffers of outputs that
    /// another process has switched off, unless it shows the same buffers there.
    ///
    /// The display waits for the fences that the commit specifies and for those in the buffers'
    /// reservations (rendering that was submitted through this library). For buffers with foreign
    /// holders ([`SyncMode::Implicit`](dmashare::SyncMode::Implicit)) it also waits for the dma-buf's
    /// implicit fences, which the kernel itself ignores on a plane that has an in-fence, and the
    /// dma-buf of a writeback target gets the capture's fence. If the driver does not accept in-fences
    /// (`EPERM`), this call waits for them on the CPU, for up to one second.
    ///
    /// The driver first checks the whole commit (`TEST_ONLY`), unless it has already accepted a commit
    /// that differs only in framebuffers, fences and damage. A steady flip is therefore one ioctl.
    ///
    /// # Errors
    /// [`CommitError`] by cause. A failed commit changes nothing and pins nothing. A mapping of memory
    /// that its buffer has left is refused ([`SubmitError::Stale`]): map
    /// the attachment again and commit the new mapping.
    pub fn commit(&self, commit: impl Borrow<Commit>) -> Result<CommitId, CommitError> {
        self.submit(commit.borrow(), None)
    }

    /// Like [`commit`](Self::commit), but also returns a sync_file for each active output
    /// (`OUT_FENCE_PTR`).
    ///
    /// # Errors
    /// Same as [`commit`](Self::commit).
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
        // In-fences are a property of planes, so a commit without planes waits on the CPU.
        let on_cpu = refuses() || commit.planes().next().is_none();
        let mut fences = InFences::new(commit, on_cpu)?;
        // An in-fence makes the kernel ignore the implicit fences of the plane's dma-buf, and this
        // commit may get one. The implicit fences are therefore collected like all others.
        let implicit = implicit_fences(commit)?;
        let mut in_the_way = None;
        // The pins of a round are dropped only once the next round has its own, so that no buffer
        // moves in between.
        let mut pinned = Pins::default();
        let mut rounds = 0;
        while rounds < ROUNDS {
            let mut freed = Freed::new();
            let mut pins = Pins::default();
            let outcome = {
                let mut state = inner.state();
                let outcome = Attempt::new(inner, &mut state, commit, &fences, &mut pins)
                    .and_then(|attempt| attempt.run(&implicit, out_fences.as_deref_mut()));
                // A buffer is released without an event if another process switched its output off.
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

/// The implicit fences of the dma-bufs that are shown or captured into.
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
