//! An importer's object for one generation of a buffer's memory, and its uses.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::access::Access;
use crate::attachment::pin::PinGuard;
use crate::buffer::BufferInner;
use crate::buffer::attachment_core::AttachmentCore;
use crate::buffer::attachment_error::PinError;
use crate::buffer::submit_error::SubmitError;
use crate::clock::Moment;
use crate::fence::{Fence, held_reservations};
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
            // Counted until the importer has the object, even if it panics then.
            let _counted = Counted(&self.core, &self.backing);
            let after = self.core.buffer().reservation().fences_of(self.core.id());
            self.importer.retire(object, after);
        }
    }
}

/// Removes an object from the count of its memory when it is dropped.
struct Counted<'a>(&'a AttachmentCore, &'a Backing);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.buffer().unmapped(self.0.id(), self.1);
    }
}

/// The importer's object (a `VkImage`, a framebuffer) for one generation of a buffer.
///
/// An owned guard: clones share the object and borrow nothing. Dropping the last clone never waits
/// (see [`Importer::retire`]).
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
            // Only `Inner::drop` takes `object`, and no `&self` outlives that.
            None => unreachable!("a mapping has its object until it is dropped"),
        }
    }

    /// The importer that made the object.
    pub fn importer(&self) -> &I {
        &self.inner.importer
    }

    /// The memory that is mapped.
    pub fn backing(&self) -> &Backing {
        &self.inner.backing
    }

    /// Name of the mapped buffer.
    pub fn buffer_name(&self) -> &str {
        self.inner.core.buffer().name()
    }

    /// Whether the buffer has holders that do not see this library's fences: see
    /// [`SyncMode::Implicit`](crate::SyncMode::Implicit). One atomic load.
    pub fn has_foreign_holders(&self) -> bool {
        self.inner.core.buffer().has_foreign_holders()
    }

    /// Whether the buffer has left the memory that this maps. Every submission checks this by itself;
    /// an application checks it for the objects that it has built on a mapping and cached.
    pub fn is_stale(&self) -> bool {
        self.inner.core.buffer().generation() != self.inner.backing.generation()
    }

    /// Pins the buffer while a device reads it without fences; a display's backend does so for what it
    /// scans out. With a dynamic attachment this is a pin like
    /// [`DynamicAttachment::pin`](crate::DynamicAttachment::pin), but never moves the buffer; a static
    /// attachment has pinned the buffer already. `since` is the time that reports give.
    ///
    /// Takes no reservation, and allocates nothing in the steady state.
    ///
    /// # Errors
    /// - [`PinError::Stale`]: the buffer has moved; map again.
    /// - Those of [`DynamicAttachment::pin`](crate::DynamicAttachment::pin), except the errors of a
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

    /// Whether `other` is a clone of this mapping.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Describes a use that only reads.
    pub fn read(&self) -> MappingUse {
        self.used_for(Access::Read)
    }

    /// Describes a use that writes, or reads and writes.
    pub fn write(&self) -> MappingUse {
        self.used_for(Access::Write)
    }

    /// Describes a use with the given access.
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

/// The use of one mapping by a piece of work, passed to
/// [`Submission::begin`](crate::Submission::begin).
///
/// It keeps the importer's object alive as a clone of the mapping does: the object cannot be retired
/// before the fence of the work is known.
#[derive(Clone)]
pub struct MappingUse {
    mapping: Arc<dyn AnyMapping>,
    pub(crate) access: Access,
    /// The parts that a write changes; `None` for everything.
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

    /// Whether the buffer has holders that do not see this library's fences: see
    /// [`SyncMode::Implicit`](crate::SyncMode::Implicit). One atomic load.
    pub fn has_foreign_holders(&self) -> bool {
        self.buffer().has_foreign_holders()
    }

    /// Limits what the work changes to `damage`. Shadows of the buffer ([`route`](crate::route)) copy
    /// only that; without it the work counts as changing everything. Pass an `Arc` to reuse one damage
    /// for several uses.
    #[must_use]
    pub fn damaging(mut self, damage: impl Into<Arc<Damage>>) -> Self {
        self.damage = Some(damage.into());
        self
    }

    /// Adds the fence of the work to the buffer's reservation, which is locked.
    #[inline]
    pub(crate) fn add_fence<A: smallvec::Array<Item = Fence>>(
        &self,
        fence: &Fence,
        removed: &mut SmallVec<A>,
    ) {
        let (reservation, attachment) = (self.buffer().reservation(), Some(self.attachment()));
        reservation.add_into(self.access.into(), fence.clone(), attachment, removed);
    }

    /// Reports a write to those that watch the content, after the work was submitted. Nothing is
    /// locked.
    #[inline]
    pub(crate) fn tell_written(&self) {
        if self.access == Access::Write {
            self.buffer().content.written(self.damage.as_deref());
        }
    }

    /// Why work with this use must not be submitted. The reservation is locked.
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

    /// The mapping's importer, if it is an `I`: a backend checks that the mapping is its own.
    pub fn importer<I: Importer>(&self) -> Option<&I> {
        self.mapping.importer().downcast_ref()
    }

    /// Name of the used buffer.
    pub fn buffer_name(&self) -> &str {
        self.buffer().name()
    }

    /// Whether the work reads or writes.
    pub fn access(&self) -> Access {
        self.access
    }
}
