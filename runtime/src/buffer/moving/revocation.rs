//! Revoking a buffer's memory from its importers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::buffer::BufferInner;
use crate::buffer::invalidation::InvalidationReason;
use crate::buffer::move_error::RevokeError;
use crate::buffer::moving::tell_importers::Told;
use crate::buffer::state::{Kind, OldBacking, Status};
use crate::locks;
use crate::memory::backing::Generation;

/// How often a wait checks whether mappings were dropped.
const LOOK: Duration = Duration::from_millis(1);

/// The revocation of a buffer; see [`SharedBuffer::revoke`](crate::SharedBuffer::revoke). Dropping this
/// has no effect.
#[derive(Clone, Debug)]
pub struct Revocation {
    buffer: Arc<BufferInner>,
    /// The last generation that importers could map.
    generation: Generation,
}

impl Revocation {
    /// Whether the memory is no longer in use: its fences are over, and no mapping is left. Does not
    /// block.
    pub fn is_over(&self) -> bool {
        self.buffer.collect();
        let state = self.buffer.state();
        !state
            .old
            .iter()
            .any(|old| old.backing.generation() <= self.generation)
    }

    /// Waits until the memory is no longer in use. Importers that still map it after
    /// `deadline` are declared dead, and the memory is kept, not freed under them.
    ///
    /// # Errors
    /// [`RevokeError::Timeout`], which names those importers; [`RevokeError::WouldDeadlock`].
    pub fn wait(&self, deadline: Duration) -> Result<(), RevokeError> {
        if let Some(buffer) = self.buffer.would_deadlock() {
            return Err(RevokeError::WouldDeadlock { buffer });
        }
        let start = Instant::now();
        while !self.is_over() {
            if start.elapsed() >= deadline {
                return Err(self.give_up());
            }
            locks::sleep(LOOK);
        }
        Ok(())
    }

    fn give_up(&self) -> RevokeError {
        let mut importers = Vec::new();
        let state = self.buffer.state();
        for entry in &state.entries {
            if entry.maps.iter().any(|(of, _)| *of <= self.generation) {
                entry.declare_dead();
                importers.push(entry.name.to_string());
            }
        }
        drop(state);
        let old = self.buffer.old_fences();
        let old = old.iter().filter(|(of, _)| *of <= self.generation);
        let fences = old
            .flat_map(|(_, after)| after.iter())
            .filter(|fence| !fence.status().is_over())
            .map(|fence| fence.producer().to_owned())
            .collect();
        tracing::error!(
            buffer = self.buffer.name(),
            ?importers,
            "declared dead: they did not release a revoked buffer in time"
        );
        RevokeError::Timeout {
            buffer: self.buffer.name().to_owned(),
            importers,
            fences,
        }
    }
}

impl BufferInner {
    pub(crate) fn revoke(self: &Arc<Self>) -> Result<Revocation, RevokeError> {
        let buffer = || self.name().to_owned();
        if let Some(buffer) = self.would_deadlock() {
            return Err(RevokeError::WouldDeadlock { buffer });
        }
        self.advance();
        let Some(locked) = self.reservation().lock_alone() else {
            return Err(RevokeError::WouldDeadlock { buffer: buffer() });
        };
        let (told, old) = {
            let mut state = self.state();
            match &state.status {
                Status::Resident => {}
                Status::Moving(_) => return Err(RevokeError::Moving { buffer: buffer() }),
                Status::Revoked => return Err(RevokeError::Revoked { buffer: buffer() }),
            }
            let fixed = state.entries.iter();
            let fixed: Vec<String> = fixed
                .filter(|entry| entry.kind != Kind::Dynamic)
                .map(|entry| entry.name.to_string())
                .collect();
            if !fixed.is_empty() {
                return Err(RevokeError::NotRevocable {
                    buffer: buffer(),
                    importers: fixed,
                });
            }
            let told = Told::all(&state);
            let renewed = state.backing.renewed(state.backing.generation().next());
            let old = self.replace_backing(&mut state, renewed);
            state.status = Status::Revoked;
            (told, old)
        };
        let generation = old.generation();
        let answers = self.tell(told, generation, InvalidationReason::Revoke);
        let mut after = answers.in_flight(self, None);
        {
            let mut state = self.state();
            let state = &mut *state;
            for entry in &mut state.entries {
                entry.revoked |= state
                    .pins
                    .iter()
                    .any(|pin| pin.report.attachment == entry.id);
            }
            // Earlier generations of the same memory that are not mapped need no entries of their own.
            state.old.retain(|known| {
                let is_kept =
                    known.recycle || !known.is_unmapped() || !known.backing.is_same_memory(&old);
                if !is_kept {
                    known
                        .after
                        .iter()
                        .for_each(|fence| after.insert(fence.clone()));
                }
                is_kept
            });
            state.old.push(OldBacking::new(old, after, false));
        }
        drop(locked);
        self.settle(answers);
        tracing::info!(
            buffer = self.name(),
            generation = generation.as_u64(),
            "revoked"
        );
        Ok(Revocation {
            buffer: self.clone(),
            generation,
        })
    }

    pub(crate) fn unrevoke(&self) -> Result<(), RevokeError> {
        let buffer = || self.name().to_owned();
        // Waits for a revocation that still notifies importers.
        let Some(locked) = self.reservation().lock_alone() else {
            return Err(RevokeError::WouldDeadlock { buffer: buffer() });
        };
        let mut state = self.state();
        if !matches!(state.status, Status::Revoked) {
            return Err(RevokeError::NotRevoked { buffer: buffer() });
        }
        state.status = Status::Resident;
        drop(state);
        drop(locked);
        tracing::info!(buffer = self.name(), "may be mapped again");
        Ok(())
    }
}
