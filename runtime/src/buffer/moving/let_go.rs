//! Memory that a buffer has left: it lives until its fences have signalled and nobody maps it.

use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use smallvec::SmallVec;

use crate::attachment::AttachmentId;
use crate::buffer::{BufferInner, Status};
use crate::clock::Moment;
use crate::fence::reservation::FenceUsage;
use crate::fence::set::FenceSet;
use crate::memory::backing::Backing;

/// One backing of the past.
#[derive(Debug)]
pub(crate) struct OldBacking {
    pub(crate) backing: Backing,
    /// Everything that still reads or writes it.
    pub(crate) after: FenceSet,
    pub(crate) since: Moment,
    /// Whether the memory is nobody's once it is let go. Otherwise the buffer has it at another
    /// generation (it was revoked, or came back).
    pub(crate) recycle: bool,
    /// Its importers were declared dead: the memory is kept for as long as they map it.
    pub(crate) overdue: bool,
}

impl OldBacking {
    pub(crate) fn new(backing: Backing, after: FenceSet, recycle: bool) -> Self {
        Self {
            backing,
            after,
            since: Moment::now(),
            recycle,
            overdue: false,
        }
    }

    /// Whether nobody uses it any more. Memory that will be someone else's must not be mapped at any
    /// generation: the buffer may have had it at several (I6).
    pub(crate) fn is_free(&self) -> bool {
        let maps = match self.recycle {
            true => self.backing.memory_maps(),
            false => self.backing.maps(),
        };
        maps == 0 && self.after.status().is_over()
    }
}

impl BufferInner {
    /// Gives back what nobody uses any more, and declares importers dead that have kept a stale
    /// mapping for too long. Returns how many old backings were let go.
    pub(crate) fn collect(&self) -> usize {
        let mut free = SmallVec::<[OldBacking; 4]>::new();
        let mut late = SmallVec::<[(AttachmentId, Arc<str>); 4]>::new();
        {
            let mut state = self.state();
            if state.old.is_empty() {
                return 0;
            }
            let mut index = 0;
            while let Some(old) = state.old.get(index) {
                if old.is_free() {
                    free.push(state.old.remove(index));
                } else {
                    index += 1;
                }
            }
            let deadline = state.stale_deadline;
            let state = &mut *state;
            for old in &mut state.old {
                let is_late = old.backing.maps() > 0 && old.since.elapsed() >= deadline;
                if !is_late || old.overdue {
                    continue;
                }
                old.overdue = true;
                for entry in &state.entries {
                    if entry.maps_of(old.backing.generation()) > 0 {
                        entry.declare_dead();
                        late.push((entry.id, entry.name.clone()));
                    }
                }
            }
        }
        for (id, importer) in late {
            tracing::error!(
                buffer = self.name(),
                importer = &*importer,
                ?id,
                "declared dead: it did not let go of a stale mapping in time; the memory is kept"
            );
        }
        let count = free.len();
        for old in free {
            if old.recycle {
                self.recycle(&old.backing, old.after);
            }
        }
        if count > 0
            && let Some(link) = self.residency.get()
        {
            link.let_go();
        }
        count
    }

    /// Gives memory that is nobody's any more back to the exporter, with the fences of whoever still
    /// uses it.
    pub(crate) fn recycle(&self, backing: &Backing, after: FenceSet) {
        if let Some(exporter) = &self.dynamic {
            exporter.recycle(self.desc(), backing.allocation().clone(), after);
        }
    }

    /// The buffer goes: its memory goes back to the exporter, with the fences of whoever still uses
    /// it. Nobody maps it: mappings keep the buffer.
    pub(crate) fn release_memory(&mut self) {
        let after = self.reservation().fences(FenceUsage::Bookkeep);
        let (backing, status, old) = {
            let mut state = self.state();
            let status = std::mem::replace(&mut state.status, Status::Resident);
            (
                state.backing.clone(),
                status,
                std::mem::take(&mut state.old),
            )
        };
        if let Status::Moving(Some(pending)) = status {
            // Nobody is left to submit its copy.
            pending.fence.fail(Errno::EOWNERDEAD);
            self.recycle(&pending.old, pending.after.clone());
        }
        for old in old {
            if old.recycle {
                self.recycle(&old.backing, old.after);
            }
        }
        self.recycle(&backing, after);
    }

    /// How long importers may keep stale mappings.
    pub(crate) fn set_stale_deadline(&self, deadline: Duration) {
        self.state().stale_deadline = deadline;
    }
}
