//! An importer's own object for a buffer's memory, while someone holds it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::access::Access;
use crate::attachment::pin::PinGuard;
use crate::buffer::BufferInner;
use crate::buffer::attachment_core::AttachmentCore;
use crate::buffer::attachment_error::PinError;
use crate::buffer::submit_error::SubmitError;
use crate::clock::Moment;
use crate::fence::held_reservations;
use crate::ids::AttachmentId;
use crate::image::damage::Damage;
use crate::memory::backing::{Backing, Generation};
use crate::memory::importer::Importer;

struct Inner<I: Importer> {
    // `None` only while `drop` runs.
    object: Option<I::Object>,
    importer: I,
    backing: Backing,
    core: Arc<AttachmentCore>,
}

impl<I: Importer> Drop for Inner<I> {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            let after = self.core.buffer().reservation().fences_of(self.core.id());
            self.importer.retire(object, after);
            self.core.buffer().unmapped(self.core.id(), &self.backing);
        }
    }
}

/// The importer's object (a `VkImage`, a framebuffer) for one generation of a buffer.
///
/// An owned guard: clones share the object, none borrows anything, and dropping the last one never
/// waits (see [`Importer::retire`]).
pub struct Mapping<I: Importer> {
    inner: Arc<Inner<I>>,
}

impl<I: Importer> Clone for Mapping<I> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<I: Importer> Mapping<I> {
    pub(crate) fn new(
        core: Arc<AttachmentCore>,
        importer: I,
        backing: Backing,
        object: I::Object,
    ) -> Self {
        core.buffer().mapped(core.id(), &backing);
        Self {
            inner: Arc::new(Inner {
                object: Some(object),
                importer,
                backing,
                core,
            }),
        }
    }

    /// The importer's object.
    pub fn object(&self) -> &I::Object {
        match &self.inner.object {
            Some(object) => object,
            // `object` is taken in `Inner::drop` only, which no `&self` outlives.
            None => unreachable!("a mapping's object is there until the mapping is dropped"),
        }
    }

    /// The importer of the object.
    pub fn importer(&self) -> &I {
        &self.inner.importer
    }

    /// The memory that is mapped.
    pub fn backing(&self) -> &Backing {
        &self.inner.backing
    }

    /// The buffer's name.
    pub fn buffer_name(&self) -> &str {
        self.inner.core.buffer().name()
    }

    /// Whether anyone uses the buffer without this library's fences: see
    /// [`SyncMode::Implicit`](crate::SyncMode::Implicit). One atomic load.
    pub fn has_foreign_holders(&self) -> bool {
        self.inner.core.buffer().has_foreign_holders()
    }

    /// Whether the buffer has left the memory that this maps. Every submission looks by itself; an
    /// application that caches what it built on a mapping may look, too.
    pub fn is_stale(&self) -> bool {
        self.inner.core.buffer().generation() != self.inner.backing.generation()
    }

    /// Holds the buffer where it is for as long as a device reads it without fences: what a display's
    /// backend does for what it scans out. Of a dynamic attachment this is a pin like
    /// [`DynamicAttachment::pin`](crate::DynamicAttachment::pin), which does not move anything; a
    /// static attachment's buffer is pinned anyway. `since` is the time that reports name.
    ///
    /// Takes no reservation, and no allocation in the steady state.
    ///
    /// # Errors
    /// - [`PinError::Stale`]: the buffer has moved; map again.
    /// - The others of [`DynamicAttachment::pin`](crate::DynamicAttachment::pin), but for those of a
    ///   move.
    pub fn hold_in_place(&self, label: &Arc<str>, since: Moment) -> Result<PinGuard, PinError> {
        let core = &self.inner.core;
        if held_reservations::any() {
            return Err(PinError::WouldDeadlock {
                buffer: self.buffer_name().to_owned(),
            });
        }
        let pin = if core.is_dynamic() {
            let generation = self.inner.backing.generation();
            let pin = core
                .buffer()
                .pin(core, label.clone(), since, Some(generation))?;
            Some(pin)
        } else {
            None
        };
        Ok(PinGuard::new(core.clone(), pin))
    }

    /// Whether `other` is a mapping of the same attachment and generation.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// A use that only reads.
    pub fn read(&self) -> MappingUse {
        self.used_for(Access::Read)
    }

    /// A use that writes, or reads and writes.
    pub fn write(&self) -> MappingUse {
        self.used_for(Access::Write)
    }

    /// A use of the given kind.
    pub fn used_for(&self, access: Access) -> MappingUse {
        MappingUse {
            mapping: self.inner.clone(),
            access,
            damage: None,
        }
    }
}

impl<I: Importer> fmt::Debug for Mapping<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping")
            .field("buffer", &self.buffer_name())
            .field("generation", &self.inner.backing.generation())
            .finish_non_exhaustive()
    }
}

/// A mapping without its importer's type.
trait AnyMapping: Send + Sync {
    fn core(&self) -> &Arc<AttachmentCore>;
    fn generation(&self) -> Generation;
    fn backing(&self) -> &Backing;
    fn importer(&self) -> &dyn Any;
}

impl<I: Importer> AnyMapping for Inner<I> {
    fn core(&self) -> &Arc<AttachmentCore> {
        &self.core
    }

    fn generation(&self) -> Generation {
        self.backing.generation()
    }

    fn backing(&self) -> &Backing {
        &self.backing
    }

    fn importer(&self) -> &dyn Any {
        &self.importer
    }
}

/// What a piece of work does with one mapping; given to
/// [`Submission::begin`](crate::Submission::begin).
///
/// It keeps the importer's object as a clone of the mapping does: the object of work that is being
/// submitted cannot go before the work's fence is known.
#[derive(Clone)]
pub struct MappingUse {
    mapping: Arc<dyn AnyMapping>,
    pub(crate) access: Access,
    /// What a write changes; `None` for everything.
    damage: Option<Arc<Damage>>,
}

impl fmt::Debug for MappingUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappingUse")
            .field("buffer", &self.buffer().name())
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

impl MappingUse {
    #[inline]
    pub(crate) fn buffer(&self) -> &Arc<BufferInner> {
        self.mapping.core().buffer()
    }

    /// The memory that is mapped.
    pub(crate) fn backing(&self) -> &Backing {
        self.mapping.backing()
    }

    #[inline]
    pub(crate) fn attachment(&self) -> AttachmentId {
        self.mapping.core().id()
    }

    /// Whether anyone uses the buffer without this library's fences: see
    /// [`SyncMode::Implicit`](crate::SyncMode::Implicit). One atomic load.
    pub fn has_foreign_holders(&self) -> bool {
        self.buffer().has_foreign_holders()
    }

    /// The same use, whose work changes no more than `damage`. A copy of the buffer (a shadow,
    /// [`route`](crate::route)) copies no more than that; work that does not tell has changed
    /// everything. Give an `Arc` to use one again.
    #[must_use]
    pub fn damaging(mut self, damage: impl Into<Arc<Damage>>) -> Self {
        self.damage = Some(damage.into());
        self
    }

    /// The work was submitted: tells those who watch the content, if it writes. Nothing is locked.
    #[inline]
    pub(crate) fn tell_written(&self) {
        if self.access == Access::Write {
            self.buffer().content.written(self.damage.as_deref());
        }
    }

    /// Why work with it must not be submitted. The reservation is locked.
    pub(crate) fn refusal(&self) -> Option<SubmitError> {
        let buffer = || self.buffer().name().to_owned();
        if self.buffer().generation() != self.mapping.generation() {
            return Some(SubmitError::Stale { buffer: buffer() });
        }
        if self.mapping.core().is_dead() {
            return Some(SubmitError::ImporterDead { buffer: buffer() });
        }
        let is_foreign_write = self.access == Access::Write
            && self
                .buffer()
                .only_writer()
                .is_some_and(|writer| writer != self.attachment());
        is_foreign_write.then(|| SubmitError::WriteToShadow { buffer: buffer() })
    }

    /// The importer of the mapping, if it is an `I`. A backend checks with it that a mapping is its
    /// own.
    pub fn importer<I: Importer>(&self) -> Option<&I> {
        self.mapping.importer().downcast_ref()
    }

    /// The buffer's name.
    pub fn buffer_name(&self) -> &str {
        self.buffer().name()
    }

    /// Whether the work reads or writes.
    pub fn access(&self) -> Access {
        self.access
    }
}
