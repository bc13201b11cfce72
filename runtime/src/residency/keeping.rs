//! A residency as the keeper of one buffer.

use std::sync::Arc;

use crate::buffer::keeper::{Force, Keeper};
use crate::locks::{Ordering, lock};
use crate::memory::ledger::Charge;
use crate::memory::no_room_error::ResidencyError;
use crate::memory::placement::Placement;
use crate::residency::inner::ResidencyInner;
use crate::residency::member::Member;

impl Keeper for Member<ResidencyInner> {
    fn make_room(
        &self,
        placement: Placement,
        bytes: u64,
        force: Force,
    ) -> Result<Charge, ResidencyError> {
        self.residency
            .make_room(placement, bytes, self.key(), force)
    }

    fn bring_back(&self) {
        let Some(buffer) = self.buffer() else {
            return;
        };
        let preferred = self.preferred();
        if buffer.backing().placement() == preferred {
            buffer.displaced.store(false, Ordering::Relaxed);
            return;
        }
        if self.is_patient() {
            return;
        }
        match buffer.move_with(&self.residency.wanted(&buffer, preferred), Force::Gently) {
            Ok(_) => {
                self.came_back();
                buffer.displaced.store(false, Ordering::Relaxed);
                // Another thread may have undone the move meanwhile.
                if buffer.backing().placement() != preferred {
                    buffer.displaced.store(true, Ordering::Relaxed);
                }
                self.residency.counters.restored(buffer.backing().bytes());
                self.residency.trim_pools(preferred, 0);
            }
            Err(error) => {
                tracing::debug!(buffer = buffer.name(), %error, "cannot bring the buffer back; it is used where it is");
                self.be_patient(*lock(&self.residency.hold));
                self.residency.counters.not_restored();
            }
        }
    }

    fn changed_placement(self: Arc<Self>) {
        if let Some(buffer) = self.buffer() {
            lock(&self.residency.leaving).insert(buffer.key, self.clone());
            self.residency.relist(&self, &buffer);
        }
    }

    fn unpinned(&self) {
        if self.aside.load(Ordering::Acquire)
            && let Some(buffer) = self.buffer()
            && buffer.state().pins.is_empty()
            && let Some(member) = self.residency.member(buffer.key)
        {
            self.residency.back_from_aside(&member, &buffer);
        }
    }

    fn memory_let_go(&self) {
        for placement in Placement::ALL {
            self.residency.trim_pools(placement, 0);
        }
    }

    fn buffer_gone(&self) {
        if let Some(buffer) = self.key() {
            self.residency.remove(self, buffer);
        }
    }
}
