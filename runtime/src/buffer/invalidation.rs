//! The callback that notifies an importer of a stale mapping.

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
    /// The buffer moves. Map again to get the new memory.
    Move,
    /// The owner revokes the memory ([`SharedBuffer::revoke`](crate::SharedBuffer::revoke)), pinned or
    /// not. Stop using it; mapping fails until the owner allows it again.
    Revoke,
}

/// The callback that notifies a dynamic importer before the buffer's memory changes
/// (`dma_buf_attach_ops.invalidate_mappings`, `move_notify` in older kernels).
///
/// It runs on the thread that moves the buffer, with the buffer's reservation locked, exactly once for
/// each generation that the attachment has mapped. A revocation may call it even before
/// [`attach_dynamic`](crate::SharedBuffer::attach_dynamic) has returned. It must not block, and
/// **setting a flag suffices**: every submission refuses stale mappings, the move waits for the fences
/// of work in flight, and the runtime releases the attachment's own mapping. The callback may do what
/// the context offers. Any other call that locks, maps, attaches, moves or waits returns a
/// `WouldDeadlock` error.
///
/// If the callback panics, the panic is caught and the importer is declared dead.
///
/// Closures and `Arc<AtomicBool>` are callbacks.
pub trait Invalidate: Send + Sync + 'static {
    /// Called before the mapping of the generation in `context` goes stale.
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

/// Describes an invalidation to the callback, and offers what the callback may do.
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

    /// Name of the buffer.
    pub fn buffer_name(&self) -> &str {
        self.buffer
    }

    /// The attachment that is notified.
    pub fn attachment(&self) -> AttachmentId {
        self.attachment
    }

    /// The generation that goes stale.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Why the mapping goes stale.
    pub fn reason(&self) -> InvalidationReason {
        self.reason
    }

    /// Drops all pins of this attachment, and returns how many there were: there can be some only at a
    /// revocation. Their guards have no effect from then on.
    pub fn unpin(&self) -> usize {
        (self.unpin)()
    }

    /// Adds a fence for work that still uses the old memory and has no fence yet. The memory is not
    /// reused before the fence is over.
    pub fn add_fence(&self, access: Access, fence: Fence) {
        self.fences.borrow_mut().insert(fence.clone());
        let removed = self
            .reservation
            .add(access.into(), fence, Some(self.attachment));
        self.removed.borrow_mut().extend(removed);
    }

    /// Detaches this attachment once the reservation is unlocked. Its handle returns
    /// [`MapError::Detached`](crate::MapError::Detached) from then on.
    pub fn detach_afterwards(&self) {
        self.detach.set(true);
    }

    pub(crate) fn wants_detach(&self) -> bool {
        self.detach.get()
    }

    /// Returns the fences that were removed from the reservation, to be dropped when it is unlocked.
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
