//! What a buffer knows of its residency.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::buffer::BufferInner;
use crate::buffer::keeper::Force;
use crate::clock::Moment;
use crate::ids::BufferKey;
use crate::locks::{AtomicBool, AtomicU64, Mutex, Ordering, lock};
use crate::memory::ledger::Charge;
use crate::memory::no_room_error::ResidencyError;
use crate::memory::placement::Placement;
use crate::residency::{Priority, Shared};

/// A buffer's place in its residency.
pub(crate) struct Link {
    pub(super) shared: Arc<Shared>,
    pub(super) priority: Priority,
    /// Where it comes back to.
    pub(super) preferred: Placement,
    /// The list that it is in, and the use that it is sorted by there. Changed with that list locked.
    pub(super) listed: Mutex<Option<(Placement, u64)>>,
    /// It is in no list because it was pinned.
    pub(super) aside: AtomicBool,
    /// When it came back last, in nanoseconds.
    pub(super) restored: AtomicU64,
    /// Until when it is not tried to bring it back, because there was no room.
    pub(super) patience: AtomicU64,
}

fn nanoseconds(moment: Moment) -> u64 {
    u64::try_from(moment.as_monotonic().as_nanos()).unwrap_or(u64::MAX)
}

impl Link {
    pub(super) fn new(shared: Arc<Shared>, priority: Priority, preferred: Placement) -> Self {
        Self {
            shared,
            priority,
            preferred,
            listed: Mutex::new(None),
            aside: AtomicBool::new(false),
            restored: AtomicU64::new(0),
            patience: AtomicU64::new(0),
        }
    }

    /// The number of a use.
    pub(crate) fn tick(&self) -> u64 {
        self.shared.tick()
    }

    pub(crate) fn make_room(
        &self,
        placement: Placement,
        bytes: u64,
        buffer: BufferKey,
        force: Force,
    ) -> Result<Charge, ResidencyError> {
        self.shared.make_room(placement, bytes, Some(buffer), force)
    }

    /// Whether it came back so lately that it should stay.
    pub(super) fn is_protected(&self) -> bool {
        let hold = *lock(&self.shared.hold);
        let restored = self.restored.load(Ordering::Relaxed);
        restored > 0 && elapsed(restored) < hold
    }

    /// The buffer was moved away, and is mapped now: brings it back, if there is room. If there is
    /// none, it is used where it is.
    pub(crate) fn restore(&self, buffer: &Arc<BufferInner>) {
        if buffer.backing().placement() == self.preferred {
            buffer.displaced.store(false, Ordering::Relaxed);
            return;
        }
        if nanoseconds(Moment::now()) < self.patience.load(Ordering::Relaxed) {
            return;
        }
        match buffer.move_with(&self.shared.wanted(buffer, self.preferred), Force::Gently) {
            Ok(_) => {
                let now = nanoseconds(Moment::now());
                self.restored.store(now, Ordering::Relaxed);
                buffer.displaced.store(false, Ordering::Relaxed);
                self.shared.counters.restored(buffer.backing().bytes());
                self.shared.trim_pools(self.preferred, 0);
            }
            Err(error) => {
                tracing::debug!(buffer = buffer.name(), %error, "used where it is");
                let hold = *lock(&self.shared.hold);
                let until = Moment::now().as_monotonic() + hold.min(Duration::from_secs(60));
                self.patience.store(
                    nanoseconds(Moment::from_monotonic(until)),
                    Ordering::Relaxed,
                );
                self.shared.counters.not_restored();
            }
        }
    }

    /// The buffer has begun a move.
    pub(crate) fn leaves(&self, buffer: &Arc<BufferInner>) {
        self.shared.leaves(buffer);
    }

    /// A pin has gone.
    pub(crate) fn unpinned(&self, buffer: &BufferInner) {
        if self.aside.load(Ordering::Acquire) && buffer.state().pins.is_empty() {
            self.shared.back_from_aside(self, buffer);
        }
    }

    /// Old memory of the buffer was let go.
    pub(crate) fn let_go(&self) {
        for placement in Placement::ALL {
            self.shared.trim_pools(placement, 0);
        }
    }

    /// The buffer is gone.
    pub(crate) fn removed(&self, buffer: BufferKey) {
        let is_last = {
            let mut members = lock(&self.shared.members);
            members.remove(&buffer);
            members.is_empty()
        };
        if is_last {
            let exporters = std::mem::take(&mut *lock(&self.shared.exporters));
            drop(exporters);
        }
        lock(&self.shared.leaving).remove(&buffer);
        for victims in &self.shared.victims {
            victims.remove(self, buffer);
        }
    }
}

fn elapsed(since: u64) -> Duration {
    Moment::from_monotonic(Duration::from_nanos(since)).elapsed()
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("priority", &self.priority)
            .field("preferred", &self.preferred)
            .finish_non_exhaustive()
    }
}
