//! The state of a buffer that one lock protects.

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use smallvec::SmallVec;

use crate::buffer::callback_gate::CallbackGate;
use crate::buffer::moving::pending_move::PendingMove;
use crate::clock::Moment;
use crate::fence::set::FenceSet;
use crate::ids::AttachmentId;
use crate::memory::backing::{Backing, Generation};
use crate::memory::constraint::AccessConstraint;
use crate::memory::pins::{PinRecord, PinReport};
use crate::sync_mode::SyncMode;

/// Whether a buffer's memory is resident, moving or revoked.
#[derive(Debug)]
pub(crate) enum Status {
    /// The backing is in place; a copy into it may be pending, behind a fence.
    Resident,
    /// The backing has changed and the copy is not submitted yet. `None` while importers are notified.
    Moving(Option<Arc<PendingMove>>),
    /// The owner has revoked the memory.
    Revoked,
}

/// The kind of an attachment.
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
    pub(crate) marks: Arc<Marks>,
    /// Number of the importer's objects, by generation.
    pub(crate) maps: SmallVec<[(Generation, usize); 1]>,
    /// The attachment was pinned when the buffer was revoked, so it stays revoked permanently.
    pub(crate) revoked: bool,
    /// The callback has asked to be detached, which happens when the reservation is unlocked.
    pub(crate) leaving: bool,
}

impl Entry {
    pub(crate) fn declare_dead(&self) {
        self.marks.declare_dead();
    }

    pub(crate) fn may_map(&self) -> bool {
        !self.revoked && !self.leaving && !self.marks.is_dead()
    }

    pub(crate) fn maps_of(&self, generation: Generation) -> usize {
        let mut maps = self.maps.iter();
        maps.find(|(of, _)| *of == generation)
            .map_or(0, |(_, count)| *count)
    }
}

/// The part of a buffer that its state lock protects.
pub(crate) struct State {
    pub(crate) backing: Backing,
    pub(crate) status: Status,
    pub(crate) entries: Vec<Entry>,
    pub(crate) pins: Vec<PinRecord>,
    pub(crate) old: Vec<OldBacking>,
}

impl State {
    pub(crate) fn entry(&mut self, id: AttachmentId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == id)
    }

    pub(crate) fn pin_reports(&self) -> Vec<PinReport> {
        self.pins.iter().map(|pin| pin.report.clone()).collect()
    }
}

/// Flags that an attachment shares with its entry in the buffer's list.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// The importer did not release a stale mapping in time, or its callback panicked.
    dead: AtomicBool,
    /// The attachment is a foreign holder of the buffer: see [`SyncMode::Implicit`].
    implicit: AtomicBool,
}

impl Marks {
    pub(crate) fn declare_dead(&self) {
        self.dead.store(true, Ordering::Release);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    pub(crate) fn set_sync_mode(&self, mode: SyncMode) {
        self.implicit
            .store(mode == SyncMode::Implicit, Ordering::Release);
    }

    pub(crate) fn sync_mode(&self) -> SyncMode {
        match self.implicit.load(Ordering::Acquire) {
            true => SyncMode::Implicit,
            false => SyncMode::Explicit,
        }
    }
}

/// The mapping that an attachment keeps, without its importer's type. A move takes it out.
pub(crate) trait MapCache: Send + Sync {
    /// Takes the mapping out, to be dropped when nothing is locked.
    fn take(&self) -> Option<Box<dyn Any + Send>>;
}

/// A backing that the buffer has left.
#[derive(Debug)]
pub(crate) struct OldBacking {
    pub(crate) backing: Backing,
    /// The fences of work that still reads or writes it.
    pub(crate) after: FenceSet,
    pub(crate) since: Moment,
    /// Whether the memory goes back to the exporter once it is free. Otherwise the buffer has it at
    /// another generation, because it was revoked or because a move was undone.
    pub(crate) recycle: bool,
    /// The importers that map it were declared dead; the memory is kept for as long as they do.
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

    /// Whether no importer maps the memory. Memory that goes back to the exporter must not be mapped at
    /// any generation: the buffer may have had it at several (I6).
    pub(crate) fn is_unmapped(&self) -> bool {
        match self.recycle {
            true => self.backing.memory_maps() == 0,
            false => self.backing.maps() == 0,
        }
    }
}
