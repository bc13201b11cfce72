//! A buffer's list of attachments, and the generations that each has mapped.

use std::sync::{Arc, Weak};

use smallvec::SmallVec;

use crate::buffer::BufferInner;
use crate::buffer::attachment_core::AttachmentCore;
use crate::buffer::attachment_error::{AttachError, MapError};
use crate::buffer::callback_gate::CallbackGate;
use crate::buffer::state::{Entry, Kind, MapCache, State, Status};
use crate::clock::Moment;
use crate::ids::{AttachmentId, PinId};
use crate::memory::backing::{Backing, Claim};
use crate::memory::constraint::AccessConstraint;
use crate::memory::pins::{PinRecord, PinReport};

impl BufferInner {
    /// Adds an attachment that pins, if the current memory fits its constraint. Returns the pinned
    /// backing, or `None` if it does not fit.
    pub(crate) fn enter_pinned(
        self: &Arc<Self>,
        name: &Arc<str>,
        kind: Kind,
        constraint: &AccessConstraint,
    ) -> Result<Option<(Arc<AttachmentCore>, Backing)>, AttachError> {
        let mut state = self.state();
        self.may_attach(&state)?;
        if constraint.objection(&state.backing).is_some() {
            return Ok(None);
        }
        self.first_pin(&state).map_err(|source| AttachError::Pin {
            buffer: self.name().to_owned(),
            source,
        })?;
        let since = Moment::recent();
        let core = self.push_entry(&mut state, name, kind, since, constraint.clone(), None);
        if state.pins.is_empty() {
            state.pins.reserve_exact(1);
        }
        state.pins.push(PinRecord {
            id: PinId::unique(),
            report: PinReport::new(core.id(), name.clone(), since),
        });
        let backing = state.backing.clone();
        drop(state);
        tracing::debug!(buffer = self.name(), importer = &**name, ?kind, "attached");
        Ok(Some((core, backing)))
    }

    /// Combines a constraint with those of all attachments. Returns the constraint alone if no memory
    /// fits them all.
    pub(crate) fn with_others(&self, constraint: &AccessConstraint) -> AccessConstraint {
        let state = self.state();
        let mut entries = state.entries.iter();
        let all = entries.try_fold(constraint.clone(), |all, entry| {
            all.intersect(&entry.constraint)
        });
        all.unwrap_or_else(|| constraint.clone())
    }

    /// Adds an attachment that is notified of moves. Its callback may run from here on.
    pub(crate) fn enter_dynamic(
        self: &Arc<Self>,
        name: &Arc<str>,
        constraint: AccessConstraint,
        gate: CallbackGate,
    ) -> Result<Arc<AttachmentCore>, AttachError> {
        let mut state = self.state();
        self.may_attach(&state)?;
        let gate = Some(Arc::new(gate));
        let since = Moment::recent();
        let core = self.push_entry(&mut state, name, Kind::Dynamic, since, constraint, gate);
        drop(state);
        tracing::debug!(buffer = self.name(), importer = &**name, kind = ?Kind::Dynamic, "attached");
        Ok(core)
    }

    fn push_entry(
        self: &Arc<Self>,
        state: &mut State,
        name: &Arc<str>,
        kind: Kind,
        since: Moment,
        constraint: AccessConstraint,
        gate: Option<Arc<CallbackGate>>,
    ) -> Arc<AttachmentCore> {
        let id = AttachmentId::unique();
        let core = Arc::new(AttachmentCore::new(self.clone(), id, kind == Kind::Dynamic));
        if state.entries.is_empty() {
            // Most buffers have one or two attachments, and a `Vec` starts with room for four.
            state.entries.reserve_exact(1);
        }
        state.entries.push(Entry {
            id,
            name: name.clone(),
            kind,
            since,
            constraint,
            gate,
            cache: None,
            marks: core.marks(),
            maps: SmallVec::new(),
            revoked: false,
            leaving: false,
        });
        core
    }

    fn may_attach(&self, state: &State) -> Result<(), AttachError> {
        let buffer = || self.name().to_owned();
        match &state.status {
            Status::Resident => Ok(()),
            Status::Moving(_) => Err(AttachError::Moving { buffer: buffer() }),
            Status::Revoked => Err(AttachError::Revoked { buffer: buffer() }),
        }
    }

    pub(crate) fn set_cache(&self, id: AttachmentId, cache: Weak<dyn MapCache>) {
        if let Some(entry) = self.state().entry(id) {
            entry.cache = Some(cache);
        }
    }

    /// Removes an attachment and its pins. Its callback does not run after this returns, unless the
    /// callback itself is the caller.
    pub(crate) fn detach(&self, id: AttachmentId) {
        let gate = {
            let mut state = self.state();
            let Some(index) = state.entries.iter().position(|entry| entry.id == id) else {
                return;
            };
            let entry = state.entries.remove(index);
            self.remove_pins(&mut state, |pin| pin.report.attachment == id);
            entry.gate
        };
        if let Some(gate) = gate {
            gate.close();
        }
        self.unpinned();
        tracing::debug!(buffer = self.name(), ?id, "detached");
    }

    /// Prevents an attachment from being mapped or pinned again, until it is detached.
    pub(crate) fn begin_detach(&self, id: AttachmentId) {
        if let Some(entry) = self.state().entry(id) {
            entry.leaving = true;
        }
    }

    /// Checks that an attachment may map now.
    pub(crate) fn may_map(&self, core: &AttachmentCore) -> Result<(), MapError> {
        self.check_map(&mut self.state(), core)
    }

    /// Checks that an attachment may map now, and claims the current backing for it. The memory is not
    /// given to another buffer while the claim lasts, and a revocation is not over.
    pub(crate) fn claim(&self, core: &AttachmentCore) -> Result<Claim, MapError> {
        let mut state = self.state();
        self.check_map(&mut state, core)?;
        Ok(state.backing.claim())
    }

    fn check_map(&self, state: &mut State, core: &AttachmentCore) -> Result<(), MapError> {
        let buffer = || self.name().to_owned();
        let is_revoked = matches!(state.status, Status::Revoked);
        let Some(entry) = state.entry(core.id()).filter(|entry| !entry.leaving) else {
            return Err(MapError::Detached { buffer: buffer() });
        };
        if core.is_dead() {
            return Err(MapError::Dead {
                buffer: buffer(),
                importer: entry.name.to_string(),
            });
        }
        if is_revoked || entry.revoked {
            return Err(MapError::Revoked { buffer: buffer() });
        }
        Ok(())
    }

    /// Runs `keep` with the state locked, if `backing` is still current and may be mapped.
    pub(crate) fn if_current<T>(
        &self,
        id: AttachmentId,
        backing: &Backing,
        keep: impl FnOnce() -> T,
    ) -> Option<T> {
        let mut state = self.state();
        let is_current = state.backing.generation() == backing.generation();
        let is_revoked = matches!(state.status, Status::Revoked);
        let entry = state.entry(id);
        let may_map = !is_revoked && entry.is_some_and(|entry| entry.may_map());
        (is_current && may_map).then(keep)
    }

    /// Counts an object that was made of `backing` for an attachment.
    pub(crate) fn mapped(&self, id: AttachmentId, backing: &Backing) {
        backing.mapped();
        if let Some(entry) = self.state().entry(id) {
            let generation = backing.generation();
            match entry.maps.iter_mut().find(|(of, _)| *of == generation) {
                Some((_, count)) => *count += 1,
                None => entry.maps.push((generation, 1)),
            }
        }
    }

    /// Removes an object of `backing` that was given back to its importer from the count.
    pub(crate) fn unmapped(&self, id: AttachmentId, backing: &Backing) {
        backing.unmapped();
        if let Some(entry) = self.state().entry(id) {
            for (of, count) in &mut entry.maps {
                if *of == backing.generation() {
                    *count -= 1;
                }
            }
            entry.maps.retain(|&mut (_, count)| count > 0);
        }
    }
}
