//! Releases memory that a buffer has left, once its fences have signalled and no mapping is left.

use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use smallvec::SmallVec;

use crate::buffer::BufferInner;
use crate::buffer::state::{OldBacking, Status};
use crate::fence::set::FenceSet;
use crate::fence::usage::FenceUsage;
use crate::ids::AttachmentId;
use crate::locks::Ordering;
use crate::memory::backing::{Backing, Generation};

impl BufferInner {
    /// Releases old backings that are no longer in use, and declares importers dead that have kept a
    /// stale mapping for too long. Returns how many backings it has released.
    pub(crate) fn collect(&self) -> usize {
        if self.state().old.is_empty() {
            return 0;
        }
        let mut over = self.old_fences();
        // A timeline's status may call the library, so the state is not locked meanwhile.
        over.retain(|(_, after)| after.is_finished());
        let mut free = SmallVec::<[OldBacking; 1]>::new();
        let mut late = SmallVec::<[(AttachmentId, Arc<str>); 1]>::new();
        {
            let mut state = self.state();
            let mut index = 0;
            while let Some(old) = state.old.get(index) {
                let of = old.backing.generation();
                if over.iter().any(|(generation, _)| *generation == of) && old.is_unmapped() {
                    free.push(state.old.remove(index));
                } else {
                    index += 1;
                }
            }
            let deadline = self.stale_deadline.load(Ordering::Relaxed);
            let deadline = Duration::from_millis(deadline.into());
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
                "declared dead: it did not release a stale mapping in time; the memory is kept"
            );
        }
        let count = free.len();
        for old in free {
            if old.recycle {
                self.recycle(&old.backing, old.after);
            }
        }
        if count > 0
            && let Some(keeper) = self.keeper()
        {
            keeper.memory_let_go();
        }
        count
    }

    /// The fences that each old backing waits for.
    pub(crate) fn old_fences(&self) -> Vec<(Generation, FenceSet)> {
        let state = self.state();
        let old = state.old.iter();
        old.map(|old| (old.backing.generation(), old.after.clone()))
            .collect()
    }

    /// Gives memory that the buffer has left back to the exporter, with the fences of work that still
    /// uses it.
    pub(crate) fn recycle(&self, backing: &Backing, after: FenceSet) {
        if let Some(exporter) = &self.dynamic {
            exporter.recycle(self.desc(), backing.allocation().clone(), after);
        }
    }

    /// Gives all memory of a buffer that is being dropped back to the exporter, with the fences of work
    /// that still uses it. No mapping is left: mappings keep the buffer.
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
            // No handle is left through which the copy could be submitted.
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

    /// Sets how long importers may keep stale mappings.
    pub(crate) fn set_stale_deadline(&self, deadline: Duration) {
        let milliseconds = u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX);
        self.stale_deadline.store(milliseconds, Ordering::Relaxed);
    }
}
