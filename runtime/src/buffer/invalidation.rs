//! Telling an importer that its mapping goes stale.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use crate::access::Access;
use crate::fence::Fence;
use crate::fence::reservation::{Removed, Reservation};
use crate::fence::set::FenceSet;
use crate::ids::AttachmentId;
use crate::memory::backing::Generation;

/// Why mappings go stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum InvalidationReason {
    /// The buffer moves: map again, and the mapping is of the new memory.
    Move,
    /// The memory is taken away ([`SharedBuffer::revoke`](crate::SharedBuffer::revoke)), pins or
    /// not: stop using it. Mapping fails until the owner allows it again.
    Revoke,
}

/// What a dynamic importer is told with, before the buffer's memory changes
/// (`dma_buf_attach_ops.invalidate_mappings`, `move_notify` in older kernels).
///
/// It runs on the thread that moves the buffer, with the buffer's reservation locked, exactly once
/// for each generation that the attachment has mapped; also before
/// [`attach_dynamic`](crate::SharedBuffer::attach_dynamic) has returned, when the buffer is revoked
/// meanwhile. It must not block, and **setting a flag suffices**: stale mappings are refused by every
/// submission anyway, work in flight is waited for by its fences, and the runtime lets go of the
/// attachment's own mapping by itself. What is legal inside is what the context offers. Everything
/// else that locks, maps, attaches, moves or waits answers with a `WouldDeadlock` error.
///
/// A callback that panics is caught; its importer is then taken for dead.
///
/// Closures and `Arc<AtomicBool>` are callbacks.
pub trait Invalidate: Send + Sync + 'static {
    /// The mapping of the generation in `context` is stale when this returns.
    fn invalidate(&self, context: &InvalidationContext<'_>);
}

impl<F: Fn(&InvalidationContext<'_>) + Send + Sync + 'static> Invalidate for F {
    fn invalidate(&self, context: &InvalidationContext<'_>) {
        self(context);
    }
}

/// Sets the flag.
impl Invalidate for Arc<AtomicBool> {
    fn invalidate(&self, _context: &InvalidationContext<'_>) {
        self.store(true, Ordering::Release);
    }
}

/// What an invalidate callback may do.
pub struct InvalidationContext<'a> {
    buffer: &'a str,
    reservation: &'a Reservation,
    unpin: &'a dyn Fn() -> usize,
    attachment: AttachmentId,
    generation: Generation,
    reason: InvalidationReason,
    fences: RefCell<FenceSet>,
    removed: RefCell<Removed>,
    detach: Cell<bool>,
}

impl<'a> InvalidationContext<'a> {
    pub(crate) fn new(
        buffer: &'a str,
        reservation: &'a Reservation,
        unpin: &'a dyn Fn() -> usize,
        attachment: AttachmentId,
        generation: Generation,
        reason: InvalidationReason,
    ) -> Self {
        Self {
            buffer,
            reservation,
            unpin,
            attachment,
            generation,
            reason,
            fences: RefCell::default(),
            removed: RefCell::default(),
            detach: Cell::new(false),
        }
    }

    /// The buffer's name.
    pub fn buffer_name(&self) -> &str {
        self.buffer
    }

    /// The attachment that is told.
    pub fn attachment(&self) -> AttachmentId {
        self.attachment
    }

    /// The generation that goes stale.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Why.
    pub fn reason(&self) -> InvalidationReason {
        self.reason
    }

    /// Lets go of all pins of this attachment, and returns how many there were: only a revocation
    /// comes while there are any. Their guards do nothing from then on.
    pub fn unpin(&self) -> usize {
        (self.unpin)()
    }

    /// Adds a fence of work that still uses the old memory and has none yet: it is waited for before
    /// the memory is used for anything else.
    pub fn add_fence(&self, access: Access, fence: Fence) {
        self.fences.borrow_mut().insert(fence.clone());
        let removed = self
            .reservation
            .add(access.into(), fence, Some(self.attachment));
        self.removed.borrow_mut().extend(removed);
    }

    /// Detaches this attachment once the reservation is unlocked. Its handle answers with
    /// [`MapError::Detached`](crate::MapError::Detached) from then on.
    pub fn detach_afterwards(&self) {
        self.detach.set(true);
    }

    pub(crate) fn wants_detach(&self) -> bool {
        self.detach.get()
    }

    /// Fences that have left the reservation, to be dropped when it is unlocked.
    pub(crate) fn into_removed(self) -> Removed {
        self.removed.into_inner()
    }

    pub(crate) fn fences(&self) -> FenceSet {
        self.fences.borrow().clone()
    }
}

impl fmt::Debug for InvalidationContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvalidationContext")
            .field("buffer", &self.buffer_name())
            .field("attachment", &self.attachment)
            .field("generation", &self.generation)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}
