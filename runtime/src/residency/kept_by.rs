//! A residency as the keeper of one buffer.

use std::fmt;
use std::sync::Arc;

use crate::buffer::BufferInner;
use crate::buffer::keeper::{Force, Keeper};
use crate::locks::{Ordering, lock};
use crate::memory::ledger::Charge;
use crate::memory::no_room_error::ResidencyError;
use crate::memory::placement::Placement;
use crate::residency::inner::ResidencyInner;
use crate::residency::member::{Member, Priority};

/// What a buffer holds of its residency.
pub(crate) struct KeptBy {
    inner: Arc<ResidencyInner>,
    member: Arc<Member>,
}

impl KeptBy {
    pub(super) fn new(inner: Arc<ResidencyInner>, priority: Priority) -> Arc<Self> {
        let member = Arc::new(Member::new(priority));
        Arc::new(Self { inner, member })
    }

    /// The buffer was made: it can be moved from now on.
    pub(super) fn join(&self, buffer: &Arc<BufferInner>) {
        self.member.keep(buffer);
        self.inner.add(&self.member, buffer);
    }
}

impl Keeper for KeptBy {
    fn make_room(
        &self,
        placement: Placement,
        bytes: u64,
        force: Force,
    ) -> Result<Charge, ResidencyError> {
        self.inner
            .make_room(placement, bytes, self.member.key(), force)
    }

    fn bring_back(&self) {
        let (Some(buffer), Some(preferred)) = (self.member.buffer(), self.member.preferred())
        else {
            return;
        };
        if buffer.backing().placement() == preferred {
            buffer.displaced.store(false, Ordering::Relaxed);
            return;
        }
        if self.member.is_patient() {
            return;
        }
        match buffer.move_with(&self.inner.wanted(&buffer, preferred), Force::Gently) {
            Ok(_) => {
                self.member.came_back();
                buffer.displaced.store(false, Ordering::Relaxed);
                self.inner.counters.restored(buffer.backing().bytes());
                self.inner.trim_pools(preferred, 0);
            }
            Err(error) => {
                tracing::debug!(buffer = buffer.name(), %error, "used where it is");
                self.member.be_patient(*lock(&self.inner.hold));
                self.inner.counters.not_restored();
            }
        }
    }

    fn began_move(&self) {
        let Some(buffer) = self.member.buffer() else {
            return;
        };
        lock(&self.inner.leaving).insert(buffer.key, self.member.clone());
        self.inner.relist(&self.member, &buffer);
    }

    fn unpinned(&self) {
        if self.member.aside.load(Ordering::Acquire)
            && let Some(buffer) = self.member.buffer()
            && buffer.state().pins.is_empty()
        {
            self.inner.back_from_aside(&self.member, &buffer);
        }
    }

    fn memory_let_go(&self) {
        for placement in Placement::ALL {
            self.inner.trim_pools(placement, 0);
        }
    }

    fn buffer_gone(&self) {
        if let Some(buffer) = self.member.key() {
            self.inner.remove(&self.member, buffer);
        }
    }
}

impl fmt::Debug for KeptBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeptBy").field(&self.member).finish()
    }
}
