//! What is behind the handles of a buffer: its memory as it is now, who is attached, and the pins.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use crate::attachment::AttachmentCore;
use crate::callback_gate::CallbackGate;
use crate::clock::Moment;
use crate::dynamic_attachment::MapCache;
use crate::old_backing::OldBacking;
use crate::pending_move::PendingMove;
use crate::pin::{PinId, PinReport};
use crate::registry::{self, BufferKey};
use crate::residency::Link;
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, lock};
use crate::{
    AccessConstraint, AttachError, AttachmentId, Backing, BufferDesc, DynamicExporter, Exporter,
    Generation, MapError, PinError, Reservation,
};

/// How long an importer may keep a stale mapping before it is taken for dead.
const STALE_DEADLINE: Duration = Duration::from_secs(5);

/// What a buffer's memory is doing.
#[derive(Debug)]
pub(crate) enum Status {
    /// It is where it is, and a copy to there is at most a fence.
    Resident,
    /// Its backing has changed, and the copy was not submitted yet. `None` while importers are told.
    Moving(Option<Arc<PendingMove>>),
    /// It was taken away.
    Revoked,
}

/// What kind of attachment an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Static,
    Export,
    Dynamic,
}

/// One attachment in a buffer's list.
pub(crate) struct Entry {
    pub(crate) id: AttachmentId,
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) since: Moment,
    pub(crate) constraint: AccessConstraint,
    pub(crate) gate: Option<Arc<CallbackGate>>,
    pub(crate) cache: Option<Weak<dyn MapCache>>,
    /// The importer did not let go of a stale mapping in time, or its callback panicked.
    pub(crate) dead: Arc<std::sync::atomic::AtomicBool>,
    /// Objects that exist, by generation.
    pub(crate) maps: Vec<(Generation, usize)>,
    /// It was pinned when the buffer was revoked, which is for good.
    pub(crate) revoked: bool,
}

impl Entry {
    pub(crate) fn declare_dead(&self) {
        self.dead.store(true, std::sync::atomic::Ordering::Release);
    }

    pub(crate) fn maps_of(&self, generation: Generation) -> usize {
        let mut maps = self.maps.iter();
        maps.find(|(of, _)| *of == generation)
            .map_or(0, |(_, count)| *count)
    }
}

/// One pin in a buffer's list.
pub(crate) struct PinRecord {
    pub(crate) id: PinId,
    pub(crate) report: PinReport,
}

/// What changes together.
pub(crate) struct State {
    pub(crate) backing: Backing,
    pub(crate) status: Status,
    pub(crate) entries: Vec<Entry>,
    pub(crate) pins: Vec<PinRecord>,
    pub(crate) old: Vec<OldBacking>,
    pub(crate) stale_deadline: Duration,
}

impl State {
    pub(crate) fn entry(&mut self, id: AttachmentId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == id)
    }

    pub(crate) fn pin_reports(&self) -> Vec<PinReport> {
        self.pins.iter().map(|pin| pin.report.clone()).collect()
    }
}

pub(crate) struct BufferInner {
    pub(crate) key: BufferKey,
    desc: BufferDesc,
    exporter: Option<Arc<dyn Exporter>>,
    pub(crate) dynamic: Option<Arc<dyn DynamicExporter>>,
    reservation: Reservation,
    /// That of the backing, for whoever holds the reservation and not the state.
    generation: AtomicU64,
    /// Its residency moved it out of the way and wants it back when it is used.
    pub(crate) displaced: AtomicBool,
    /// When it was used last, on the residency's clock of uses.
    pub(crate) last_use: AtomicU64,
    pub(crate) residency: OnceLock<Link>,
    pub(crate) moves: AtomicU64,
    pub(crate) refusals: AtomicU64,
    state: Mutex<State>,
}

impl BufferInner {
    pub(crate) fn new(
        desc: BufferDesc,
        exporter: Option<Arc<dyn Exporter>>,
        dynamic: Option<Arc<dyn DynamicExporter>>,
        reservation: Reservation,
        backing: Backing,
    ) -> Arc<Self> {
        let inner = Arc::new(Self {
            key: BufferKey::unique(),
            desc,
            exporter,
            dynamic,
            reservation,
            generation: AtomicU64::new(backing.generation().as_u64()),
            displaced: AtomicBool::new(false),
            last_use: AtomicU64::new(0),
            residency: OnceLock::new(),
            moves: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            state: Mutex::new(State {
                backing,
                status: Status::Resident,
                entries: Vec::new(),
                pins: Vec::new(),
                old: Vec::new(),
                stale_deadline: STALE_DEADLINE,
            }),
        });
        registry::add(&inner);
        inner
    }

    pub(crate) fn name(&self) -> &str {
        &self.desc.name
    }

    pub(crate) fn desc(&self) -> &BufferDesc {
        &self.desc
    }

    pub(crate) fn exporter(&self) -> Option<&Arc<dyn Exporter>> {
        self.exporter.as_ref()
    }

    pub(crate) fn reservation(&self) -> &Reservation {
        &self.reservation
    }

    /// A leaf: nothing else is locked while it is held but an attachment's own mapping. A panic
    /// cannot leave it half changed.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn generation(&self) -> Generation {
        Generation::from_u64(self.generation.load(Ordering::Acquire))
    }

    /// Puts another backing in place. The reservation is locked.
    pub(crate) fn replace_backing(&self, state: &mut State, backing: Backing) -> Backing {
        self.generation
            .store(backing.generation().as_u64(), Ordering::Release);
        std::mem::replace(&mut state.backing, backing)
    }

    pub(crate) fn backing(&self) -> Backing {
        self.state().backing.clone()
    }

    pub(crate) fn is_displaced(&self) -> bool {
        self.displaced.load(Ordering::Relaxed)
    }

    /// It is used now.
    pub(crate) fn touch(&self) {
        if let Some(link) = self.residency.get() {
            self.last_use.store(link.tick(), Ordering::Relaxed);
        }
    }

    /// Enters an attachment that pins, if the memory fits its constraint as it is. Gives the backing
    /// that is pinned; `None` if it does not fit.
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
        let core = self.push_entry(&mut state, name, kind, constraint.clone(), None);
        state.pins.push(PinRecord {
            id: PinId::unique(),
            report: PinReport::new(core.id(), name.clone(), Moment::now()),
        });
        let backing = state.backing.clone();
        drop(state);
        tracing::debug!(buffer = self.name(), importer = &**name, ?kind, "attached");
        Ok(Some((core, backing)))
    }

    /// A constraint together with those of all that are attached, if anything can fit them all; else
    /// the constraint alone.
    pub(crate) fn with_others(&self, constraint: &AccessConstraint) -> AccessConstraint {
        let state = self.state();
        let mut entries = state.entries.iter();
        let all = entries.try_fold(constraint.clone(), |all, entry| {
            all.intersect(&entry.constraint)
        });
        all.unwrap_or_else(|| constraint.clone())
    }

    /// Enters an attachment that is told. It may be called from here on.
    pub(crate) fn enter_dynamic(
        self: &Arc<Self>,
        name: &Arc<str>,
        constraint: AccessConstraint,
        gate: CallbackGate,
    ) -> Result<Arc<AttachmentCore>, AttachError> {
        let mut state = self.state();
        self.may_attach(&state)?;
        let gate = Some(Arc::new(gate));
        let core = self.push_entry(&mut state, name, Kind::Dynamic, constraint, gate);
        drop(state);
        tracing::debug!(buffer = self.name(), importer = &**name, kind = ?Kind::Dynamic, "attached");
        Ok(core)
    }

    fn push_entry(
        self: &Arc<Self>,
        state: &mut State,
        name: &Arc<str>,
        kind: Kind,
        constraint: AccessConstraint,
        gate: Option<Arc<CallbackGate>>,
    ) -> Arc<AttachmentCore> {
        let id = AttachmentId::unique();
        let core = Arc::new(AttachmentCore::new(self.clone(), id, kind == Kind::Dynamic));
        state.entries.push(Entry {
            id,
            name: name.clone(),
            kind,
            since: Moment::now(),
            constraint,
            gate,
            cache: None,
            dead: core.dead(),
            maps: Vec::new(),
            revoked: false,
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

    /// Takes an attachment and its pins off the lists. Its callback does not run after this, unless
    /// it is what calls.
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

    /// Whether an attachment may map now.
    pub(crate) fn may_map(&self, core: &AttachmentCore) -> Result<(), MapError> {
        let mut state = self.state();
        let buffer = || self.name().to_owned();
        let is_revoked = matches!(state.status, Status::Revoked);
        let Some(entry) = state.entry(core.id()) else {
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

    /// Runs `keep` with the state locked, if `backing` is still the buffer's and it may be mapped.
    pub(crate) fn if_current<T>(&self, backing: &Backing, keep: impl FnOnce() -> T) -> Option<T> {
        let state = self.state();
        let is_current = state.backing.generation() == backing.generation();
        is_current.then(keep)
    }

    /// An object of `backing` was made for an attachment.
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

    /// An object of `backing` was given back to its importer.
    pub(crate) fn unmapped(&self, id: AttachmentId, backing: &Backing) {
        backing.unmapped();
        if let Some(entry) = self.state().entry(id) {
            for (of, count) in &mut entry.maps {
                if *of == backing.generation() {
                    *count -= 1;
                }
            }
            entry.maps.retain(|(_, count)| *count > 0);
        }
    }

    fn first_pin(&self, state: &State) -> Result<(), crate::ExportError> {
        match &self.dynamic {
            Some(exporter) if state.pins.is_empty() => exporter.pin(&state.backing),
            _ => Ok(()),
        }
    }

    /// Pins through an attachment, if the memory is as it must be. Takes no reservation, and nothing
    /// that a steady display would allocate.
    pub(crate) fn pin(
        &self,
        core: &AttachmentCore,
        label: Arc<str>,
        since: Moment,
        of: Option<Generation>,
    ) -> Result<PinId, PinError> {
        let mut state = self.state();
        let buffer = || self.name().to_owned();
        match &state.status {
            Status::Resident => {}
            Status::Moving(_) => return Err(PinError::Moving { buffer: buffer() }),
            Status::Revoked => return Err(PinError::Revoked { buffer: buffer() }),
        }
        let backing = state.backing.clone();
        let Some(entry) = state.entry(core.id()) else {
            return Err(PinError::Detached { buffer: buffer() });
        };
        if entry.revoked {
            return Err(PinError::Revoked { buffer: buffer() });
        }
        if core.is_dead() {
            return Err(PinError::Dead {
                buffer: buffer(),
                importer: entry.name.to_string(),
            });
        }
        if of.is_some_and(|generation| generation != backing.generation()) {
            return Err(PinError::Stale { buffer: buffer() });
        }
        if let Some(reason) = entry.constraint.objection(&backing) {
            return Err(PinError::Unreachable {
                buffer: buffer(),
                importer: entry.name.to_string(),
                reason,
            });
        }
        self.first_pin(&state)
            .map_err(|source| PinError::Exporter {
                buffer: buffer(),
                source,
            })?;
        let id = PinId::unique();
        tracing::trace!(buffer = self.name(), label = &*label, "pinned");
        state.pins.push(PinRecord {
            id,
            report: PinReport::new(core.id(), label, since),
        });
        Ok(id)
    }

    fn remove_pins(&self, state: &mut State, which: impl Fn(&PinRecord) -> bool) -> usize {
        let before = state.pins.len();
        state.pins.retain(|pin| !which(pin));
        let removed = before - state.pins.len();
        if removed > 0
            && state.pins.is_empty()
            && let Some(exporter) = &self.dynamic
        {
            exporter.unpin(&state.backing);
        }
        removed
    }

    pub(crate) fn unpin(&self, id: PinId) {
        let removed = self.remove_pins(&mut self.state(), |pin| pin.id == id);
        if removed > 0 {
            tracing::trace!(buffer = self.name(), "unpinned");
            self.unpinned();
        }
    }

    pub(crate) fn unpin_all(&self, attachment: AttachmentId) -> usize {
        let removed =
            self.remove_pins(&mut self.state(), |pin| pin.report.attachment == attachment);
        self.unpinned();
        removed
    }

    /// Pins have gone: a residency that had put the buffer aside because of them may want to know.
    fn unpinned(self: &BufferInner) {
        if let Some(link) = self.residency.get() {
            link.unpinned(self);
        }
    }
}

impl Drop for BufferInner {
    fn drop(&mut self) {
        registry::remove(self.key);
        if let Some(link) = self.residency.get() {
            link.removed(self.key);
        }
        self.release_memory();
    }
}

impl std::fmt::Debug for BufferInner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BufferInner")
            .field("name", &self.name())
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}
