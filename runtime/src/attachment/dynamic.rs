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
use crate::memory::importer::Importer;
use crate::sync_mode::SyncMode;

/// How often a map starts again because the buffer moved meanwhile.
const ROUNDS: usize = 16;

struct Cache<I: Importer>(Mutex<Option<Mapping<I>>>);

impl<I: Importer> MapCache for Cache<I> {
    fn take(&self) -> Option<Box<dyn Any + Send>> {
        let mapping = lock(&self.0).take()?;
        Some(Box::new(mapping))
    }
}

/// An attachment of a device that is told before the buffer moves
/// ([`SharedBuffer::attach_dynamic`](crate::SharedBuffer::attach_dynamic)): it maps when it needs the
/// memory, every use carries a fence, and it pins only what it reads for good without fences.
///
/// The mapping is kept from one [`map`](Self::map) to the next, and let go when the buffer moves. The
/// device stays attached until this handle, every mapping and every pin of it are dropped; a mapping
/// that a move on another thread has taken out counts until that thread has told everyone. Dropping
/// the last of them waits for this attachment's callback if it is running on another thread, and for
/// nothing else; after that it is not called again.
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

    /// Its identity, as in [`SharedBuffer::attachments`](crate::SharedBuffer::attachments).
    pub fn id(&self) -> AttachmentId {
        self.core.id()
    }

    /// The importer that is attached.
    pub fn importer(&self) -> &I {
        &self.importer
    }

    /// How its uses, and those of everyone else, are ordered with what the library does not see.
    pub fn sync_mode(&self) -> SyncMode {
        self.core.sync_mode()
    }

    /// Sets the synchronisation mode; an attachment begins as explicit. With [`SyncMode::Implicit`]
    /// everything that is pending in the buffer's reservation goes into its dma-buf now, as far as
    /// a sync_file can be made of it;
    /// [`SharedBuffer::publish_fences`](crate::SharedBuffer::publish_fences) tells of the rest.
    /// Back to explicit, what is in the dma-buf stays there until it has signalled.
    ///
    /// # Errors
    /// [`ImplicitSyncError`] by cause; it is explicit then.
    pub fn set_sync_mode(&self, mode: SyncMode) -> Result<(), ImplicitSyncError> {
        self.core.set_sync_mode(mode)
    }

    /// The device's object for the memory as it is now. Of a buffer that has not moved since the last
    /// call it is the same one, without an allocation or a system call. After a move the new memory
    /// is imported. A buffer that was evicted, or is where this device cannot use it, is brought back
    /// first ([`Residency`](crate::Residency), [`Importer::constraint`]).
    ///
    /// Content that is still being moved is no reason to wait here: it is a fence, which the
    /// submission gets.
    ///
    /// # Errors
    /// - [`MapError::Import`]: the device refuses the memory.
    /// - [`MapError::Prepare`]: the exporter could not do what it had put off until now.
    /// - [`MapError::Unreachable`], [`MapError::Move`]: the buffer cannot be where this device
    ///   reaches it.
    /// - [`MapError::Revoked`], [`MapError::Dead`], [`MapError::Detached`].
    /// - [`MapError::WouldDeadlock`]: a new mapping must be made, and this thread has an open
    ///   submission or is in a callback.
    /// - [`MapError::Restless`]: the buffer moved again and again meanwhile.
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

    /// What its device objects to in the memory as it is now, by what it demanded at attach.
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
            // A revoked buffer and the like are told all the same: those answers do not change.
            buffer.may_map(&self.core)?;
            return Err(MapError::WouldDeadlock {
                buffer: buffer.name().to_owned(),
            });
        }
        for _ in 0..ROUNDS {
            buffer.may_map(&self.core)?;
            buffer.bring_within_reach(&self.core)?;
            let claim = buffer.claim();
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
            // With the list of attachments locked: a move comes before this, and the mapping is not
            // kept, or after it, and takes it out.
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

    fn cached(&self, backing: &crate::memory::backing::Backing) -> Option<Mapping<I>> {
        let cache = lock(&self.cache.0);
        cache
            .as_ref()
            .filter(|mapping| mapping.backing().generation() == backing.generation())
            .cloned()
    }

    /// Lets go of the mapping that the attachment keeps. The device's object goes when the last clone
    /// of it is dropped.
    pub fn unmap(&self) {
        let mapping = lock(&self.cache.0).take();
        drop(mapping);
    }

    /// Holds the buffer where it is until the guard is dropped; `label` says what for in reports and
    /// refusals ("scanout Virtual-1"). If the device cannot use the memory where it is, the buffer is
    /// moved there first: map again afterwards.
    ///
    /// # Errors
    /// - [`PinError::Unreachable`]: nowhere could all that are attached use it.
    /// - [`PinError::Move`]: the move there was refused, or failed.
    /// - [`PinError::Moving`]: a move is under way whose copy waits for fences; ask again when
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
                // It was moved away again.
                Err(PinError::Unreachable { .. }) => {}
                pinned => return pinned.map(|pin| PinGuard::new(self.core.clone(), Some(pin))),
            }
        }
        let pin = buffer.pin(&self.core, label, Moment::recent(), None)?;
        Ok(PinGuard::new(self.core.clone(), Some(pin)))
    }
}

impl<I: Importer> Drop for DynamicAttachment<I> {
    /// Lets go of the mapping even while someone who moves the buffer looks at the cache: it must not
    /// keep the attachment, and its callback, any longer than this.
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
