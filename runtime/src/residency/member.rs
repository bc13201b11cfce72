//! What a residency knows of one of its buffers.

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use serde::Serialize;

use crate::buffer::BufferInner;
use crate::clock::Moment;
use crate::ids::BufferKey;
use crate::locks::{AtomicBool, AtomicU64, Mutex, Ordering};
use crate::memory::placement::Placement;

/// How much a buffer is worth its place: of a lower priority it goes first, whenever it was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Priority(pub u8);

/// The buffer of a member, known once its memory is made.
struct Kept {
    key: BufferKey,
    buffer: Weak<BufferInner>,
    /// The place that the buffer comes back to.
    preferred: Placement,
}

/// A buffer in its residency.
pub(crate) struct Member {
    pub(super) priority: Priority,
    kept: OnceLock<Kept>,
    /// The list that it is in, and the use that it is sorted by there. Changed with that list locked.
    pub(super) listed: Mutex<Option<(Placement, u64)>>,
    /// It is in no list because it was pinned.
    pub(super) aside: AtomicBool,
    /// When it came back last, in nanoseconds.
    restored: AtomicU64,
    /// Until when no attempt is made to bring it back, because there was no room.
    patience: AtomicU64,
}

fn nanoseconds(moment: Moment) -> u64 {
    u64::try_from(moment.as_monotonic().as_nanos()).unwrap_or(u64::MAX)
}

impl Member {
    pub(super) fn new(priority: Priority) -> Self {
        Self {
            priority,
            kept: OnceLock::new(),
            listed: Mutex::new(None),
            aside: AtomicBool::new(false),
            restored: AtomicU64::new(0),
            patience: AtomicU64::new(0),
        }
    }

    /// Enters the buffer that was made. It comes back to where it is now.
    pub(super) fn keep(&self, buffer: &Arc<BufferInner>) {
        // A member is made for one buffer: nothing is kept yet.
        let _ = self.kept.set(Kept {
            key: buffer.key,
            buffer: Arc::downgrade(buffer),
            preferred: buffer.backing().placement(),
        });
    }

    /// The buffer; `None` if it is not made yet or gone.
    pub(super) fn buffer(&self) -> Option<Arc<BufferInner>> {
        self.kept.get().and_then(|kept| kept.buffer.upgrade())
    }

    pub(super) fn key(&self) -> Option<BufferKey> {
        self.kept.get().map(|kept| kept.key)
    }

    pub(super) fn preferred(&self) -> Option<Placement> {
        self.kept.get().map(|kept| kept.preferred)
    }

    pub(super) fn came_back(&self) {
        let now = nanoseconds(Moment::now());
        self.restored.store(now, Ordering::Relaxed);
    }

    /// Whether it came back so lately that it should stay.
    pub(super) fn is_protected(&self, hold: Duration) -> bool {
        let restored = self.restored.load(Ordering::Relaxed);
        restored > 0 && Moment::from_monotonic(Duration::from_nanos(restored)).elapsed() < hold
    }

    /// Puts the next attempt to bring it back off.
    pub(super) fn be_patient(&self, hold: Duration) {
        let until = Moment::now().as_monotonic() + hold.min(Duration::from_secs(60));
        let until = nanoseconds(Moment::from_monotonic(until));
        self.patience.store(until, Ordering::Relaxed);
    }

    pub(super) fn is_patient(&self) -> bool {
        nanoseconds(Moment::now()) < self.patience.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("priority", &self.priority)
            .field("preferred", &self.preferred())
            .finish_non_exhaustive()
    }
}
