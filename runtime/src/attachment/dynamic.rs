//! An attachment that lets its buffer move.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::attachment::mapping::Mapping;
use crate::attachment::pin::PinGuard;
use crate::buffer::attachment_core::AttachmentCore;
use crate::buffer::attachment_error::{MapError, PinError};
use crate::buffer::implicit_sync_error::ImplicitSyncError;
use crate::buffer::state::MapCache;
use crate::clock::Moment;
use crate::fence::held_reservations;
use crate::ids::AttachmentId;
use crate::locks::{Mutex, lock};
use crate::memory::backing::Backing;
use crate::memory::constraint::AccessConstraint;
use crate::memory::importer::Importer;
use crate::sync_mode::SyncMode;

/// How often a map starts again because the buffer has moved meanwhile.
const ROUNDS: usize = 16;

struct Cache<I: Importer>(Mutex<Option<Mapping<I>>>);

impl<I: Importer> MapCache for Cache<I> {
    fn take(&self) -> Option<Box<dyn Any + Send>> {
        let mapping = lock(&self.0).take()?;
        Some(Box::new(mapping))
    }
}

/// An attachment of a device that is notified before the buffer moves
/// ([`SharedBuffer::attach_dynamic`](crate::SharedBuffer::attach_dynamic)): it maps when it needs the
/// memory, every use carries a fence, and it pins only what it reads continuously without fences.
///
/// The attachment keeps its mapping from one [`map`](Self::map) to the next, and releases it when the
/// buffer moves. The device stays attached until this handle, every mapping and every pin of it are
/// dropped; a mapping that a move on another thread has taken out counts until that thread has
/// notified all importers. Dropping the last of them waits for this attachment's callback if that runs
/// on another thread, and for nothing else; the callback does not run after that.
#[must_use = "the device is detached when its attachment is dropped"]
pub struct DynamicAttachment<I: Importer> {
    // Before the core: the mapping holds it.
    cache: Arc<Cache<I>>,
    importer: I,
    core: Arc<AttachmentCore>,
}

impl<I: Importer> DynamicAttachment<I> {
    pub(crate) fn new(core: Arc<AttachmentCore>, importer: &I) -> Self {
        let cache = Arc::new(Cache(Mutex::new(None)));
        let erased: Arc<dyn MapCache> = cache.clone();
        core.buffer().set_cache(core.id(), Arc::downgrade(&erased));
        Self {
            cache,
            importer: importer.clone(),
            core,
        }
    }

    /// The attachment's identity in [`SharedBuffer::attachments`](crate::SharedBuffer::attachments).
    pub fn id(&self) -> AttachmentId {
        self.core.id()
    }

    /// The importer that is attached.
    pub fn importer(&self) -> &I {
        &self.importer
    }

    /// How uses of the buffer are synchronized with users that the library does not see.
    pub fn sync_mode(&self) -> SyncMode {
        self.core.sync_mode()
    }

    /// Sets the synchronization mode; a new attachment is explicit. [`SyncMode::Implicit`] adds every
    /// pending fence of the buffer's reservation to its dma-buf now, if a sync_file can be made of it;
    /// [`SharedBuffer::publish_fences`](crate::SharedBuffer::publish_fences) reports the rest.
    /// [`SyncMode::Explicit`] leaves the fences that are in the dma-buf until they have signalled.
    ///
    /// # Errors
    /// [`ImplicitSyncError`] by cause; the attachment is explicit then.
    pub fn set_sync_mode(&self, mode: SyncMode) -> Result<(), ImplicitSyncError> {
        self.core.set_sync_mode(mode)
    }

    /// Maps the buffer's current memory. If the buffer has not moved since the last call, this returns
    /// the same mapping, without an allocation or a system call. After a move it imports the new
    /// memory. A buffer that was evicted, or is where this device cannot use it, is moved first
    /// ([`Residency`](crate::Residency), [`Importer::constraint`]).
    ///
    /// This does not wait for a copy that is still running: its fence is among the waits of the
    /// submission.
    ///
    /// # Errors
    /// - [`MapError::Import`]: the device refuses the memory.
    /// - [`MapError::Prepare`]: the exporter failed to do the work that it had deferred to the first use.
    /// - [`MapError::Unreachable`], [`MapError::Move`]: the buffer cannot be where this device
    ///   reaches it.
    /// - [`MapError::Revoked`], [`MapError::Dead`], [`MapError::Detached`].
    /// - [`MapError::WouldDeadlock`]: the buffer must be mapped again, and this thread has an open
    ///   submission or is in a callback.
    /// - [`MapError::Restless`]: the buffer kept moving meanwhile.
    pub fn map(&self) -> Result<Mapping<I>, MapError> {
        let buffer = self.core.buffer();
        if !buffer.is_displaced() && !self.core.is_dead() {
            let cache = lock(&self.cache.0);
            if let Some(mapping) = &*cache
                && mapping.backing().generation() == buffer.generation()
            {
                let mapping = mapping.clone();
                drop(cache);
                buffer.touch();
                return Ok(mapping);
            }
        }
        self.map_anew()
    }

    /// Lets the buffer be anywhere, because the device uses a copy from now on.
    pub(crate) fn lift_constraint(&self) {
        if let Some(entry) = self.core.buffer().state().entry(self.core.id()) {
            entry.constraint = AccessConstraint::default();
        }
    }

    /// Why the current memory does not meet the constraint that the importer stated at attach.
    pub(crate) fn objection(&self) -> Option<String> {
        let mut state = self.core.buffer().state();
        let backing = state.backing.clone();
        let entry = state.entry(self.core.id())?;
        entry.constraint.objection(&backing)
    }

    #[cold]
    fn map_anew(&self) -> Result<Mapping<I>, MapError> {
        let buffer = self.core.buffer();
        let span = tracing::debug_span!(
            "map",
            buffer = buffer.name(),
            importer = self.importer.name()
        );
        let _entered = span.enter();
        if held_reservations::any() {
            // A revoked buffer, a dead importer or a detach comes first: that does not change later.
            buffer.may_map(&self.core)?;
            return Err(MapError::WouldDeadlock {
                buffer: buffer.name().to_owned(),
            });
        }
        for _ in 0..ROUNDS {
            buffer.may_map(&self.core)?;
            buffer.bring_within_reach(&self.core)?;
            let claim = buffer.claim(&self.core)?;
            let backing = claim.backing().clone();
            if let Some(mapping) = self.cached(&backing) {
                buffer.touch();
                return Ok(mapping);
            }
            buffer
                .prepare(&backing)
                .map_err(|source| MapError::Prepare {
                    buffer: buffer.name().to_owned(),
                    source,
                })?;
            let object = self.importer.import(buffer.desc(), &backing)?;
            let mapping = Mapping::new(
                self.core.clone(),
                self.importer.clone(),
                backing.clone(),
                object,
            );
            // The list of attachments is locked: if a move came before, the mapping is not kept; if
            // it comes after, it takes the mapping out.
            let kept = buffer.if_current(self.core.id(), &backing, || {
                let mut cache = lock(&self.cache.0);
                match &*cache {
                    // Another thread was faster.
                    Some(known) if known.backing().generation() == backing.generation() => {
                        (known.clone(), None)
                    }
                    _ => (mapping.clone(), cache.replace(mapping.clone())),
                }
            });
            if let Some((kept, replaced)) = kept {
                drop((mapping, replaced));
                tracing::debug!(generation = backing.generation().as_u64(), "mapped");
                buffer.touch();
                return Ok(kept);
            }
        }
        Err(MapError::Restless {
            buffer: buffer.name().to_owned(),
        })
    }

    fn cached(&self, backing: &Backing) -> Option<Mapping<I>> {
        let cache = lock(&self.cache.0);
        cache
            .as_ref()
            .filter(|mapping| mapping.backing().generation() == backing.generation())
            .cloned()
    }

    /// Releases the mapping that the attachment keeps. The device's object is retired when the last
    /// clone of the mapping is dropped.
    pub fn unmap(&self) {
        let mapping = lock(&self.cache.0).take();
        drop(mapping);
    }

    /// Pins the buffer until the guard is dropped. `label` names the pin in reports and refusals
    /// ("scanout Virtual-1"). If the device cannot use the current memory, the buffer is moved first:
    /// map again afterwards.
    ///
    /// # Errors
    /// - [`PinError::Unreachable`]: no memory suits all attachments.
    /// - [`PinError::Move`]: the move to suitable memory was refused, or failed.
    /// - [`PinError::Moving`]: the copy of a move still waits for fences; try again when
    ///   [`SharedBuffer::ready`](crate::SharedBuffer::ready) is over.
    /// - [`PinError::Revoked`], [`PinError::Dead`], [`PinError::Detached`], [`PinError::Exporter`].
    /// - [`PinError::WouldDeadlock`]: this thread has an open submission or is in a callback.
    pub fn pin(&self, label: impl Into<Arc<str>>) -> Result<PinGuard, PinError> {
        let buffer = self.core.buffer();
        if held_reservations::any() {
            return Err(PinError::WouldDeadlock {
                buffer: buffer.name().to_owned(),
            });
        }
        let label = label.into();
        for _ in 0..ROUNDS {
            buffer.bring_within_reach_of_all(&self.core)?;
            match buffer.pin(&self.core, label.clone(), Moment::recent(), None) {
                // Another thread has moved it away again.
                Err(PinError::Unreachable { .. }) => {}
                pinned => return pinned.map(|pin| PinGuard::new(self.core.clone(), Some(pin))),
            }
        }
        let pin = buffer.pin(&self.core, label, Moment::recent(), None)?;
        Ok(PinGuard::new(self.core.clone(), Some(pin)))
    }
}

impl<I: Importer> Drop for DynamicAttachment<I> {
    /// Releases the mapping even while another thread that moves the buffer looks at the cache: the
    /// cached mapping must not keep the attachment and its callback alive after this.
    fn drop(&mut self) {
        self.unmap();
    }
}

impl<I: Importer> fmt::Debug for DynamicAttachment<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamicAttachment")
            .field("buffer", &self.core.buffer().name())
            .field("id", &self.core.id())
            .finish_non_exhaustive()
    }
}
