//! A residency's record of one of its buffers.

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use serde::Serialize;

use crate::buffer::BufferInner;
use crate::clock::Moment;
use crate::ids::BufferKey;
use crate::locks::{AtomicBool, AtomicU8, AtomicU64, Mutex, Ordering};
use crate::memory::placement::Placement;

/// Priority of a buffer for its place. Buffers of a lower priority are moved out first, no matter when
/// they were used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Priority(pub u8);

/// A buffer in its residency `R`. Programs have many buffers, so this is a single small allocation.
pub(crate) struct Member<R> {
    pub(super) residency: Arc<R>,
    /// The buffer, once its memory is made.
    buffer: OnceLock<(BufferKey, Weak<BufferInner>)>,
    /// The use by which the buffer is sorted in its list. Changes with `listed` locked.
    pub(super) listed_use: AtomicU64,
    /// The list that the buffer is in. Changes with that list locked.
    pub(super) listed: Mutex<Option<Placement>>,
    pub(super) priority: Priority,
    /// The index of the place that the buffer comes back to.
    preferred: AtomicU8,
    /// The buffer is in no list because it was pinned.
    pub(super) aside: AtomicBool,
    /// When the buffer last came back, or until when it is not brought back. Nanoseconds; the lowest
    /// bit tells which of the two.
    moment: AtomicU64,
}

/// The bit that marks a moment at which a buffer came back.
const CAME_BACK: u64 = 1;

/// Nanoseconds, with the lowest bit cleared.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) & !CAME_BACK
}

impl<R> Member<R> {
    pub(super) fn new(residency: Arc<R>, priority: Priority) -> Self {
        Self {
            residency,
            buffer: OnceLock::new(),
            listed_use: AtomicU64::new(0),
            listed: Mutex::new(None),
            priority,
            preferred: AtomicU8::new(0),
            aside: AtomicBool::new(false),
            moment: AtomicU64::new(0),
        }
    }

    /// Sets the buffer. It will come back to the place where it is now.
    pub(super) fn keep(&self, buffer: &Arc<BufferInner>) {
        let placement = Placement::ALL
            .iter()
            .position(|place| *place == buffer.backing().placement());
        let index = placement.and_then(|index| u8::try_from(index).ok());
        self.preferred.store(index.unwrap_or(0), Ordering::Relaxed);
        // A member is made for one buffer, so none is set yet.
        let _ = self.buffer.set((buffer.key, Arc::downgrade(buffer)));
    }

    /// The buffer; `None` if it is not made yet, or is gone.
    pub(super) fn buffer(&self) -> Option<Arc<BufferInner>> {
        self.buffer.get().and_then(|(_, buffer)| buffer.upgrade())
    }

    pub(super) fn key(&self) -> Option<BufferKey> {
        self.buffer.get().map(|(key, _)| *key)
    }

    pub(super) fn preferred(&self) -> Placement {
        Placement::ALL[usize::from(self.preferred.load(Ordering::Relaxed))]
    }

    pub(super) fn came_back(&self) {
        let now = nanoseconds(Moment::now().as_monotonic());
        self.moment.store(now | CAME_BACK, Ordering::Relaxed);
    }

    /// Whether the buffer came back less than `hold` ago, and so should stay.
    pub(super) fn is_protected(&self, hold: Duration) -> bool {
        let moment = self.moment.load(Ordering::Relaxed);
        let since = Moment::from_monotonic(Duration::from_nanos(moment & !CAME_BACK));
        moment & CAME_BACK != 0 && since.elapsed() < hold
    }

    /// Postpones the next attempt to bring the buffer back by `hold`, at most a minute.
    pub(super) fn be_patient(&self, hold: Duration) {
        let until = Moment::now().as_monotonic() + hold.min(Duration::from_secs(60));
        self.moment.store(nanoseconds(until), Ordering::Relaxed);
    }

    pub(super) fn is_patient(&self) -> bool {
        let moment = self.moment.load(Ordering::Relaxed);
        moment & CAME_BACK == 0 && nanoseconds(Moment::now().as_monotonic()) < moment
    }
}

impl<R> fmt::Debug for Member<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("priority", &self.priority)
            .field("preferred", &self.preferred())
            .finish_non_exhaustive()
    }
}
