//! Which buffers are where when there is not room for all.

pub(crate) mod eviction_order;
pub(crate) mod make_room;
pub(crate) mod member;
pub(crate) mod trim;

pub(crate) mod statistics;
pub(crate) mod use_clock;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::Serialize;

use crate::buffer::BufferInner;
use crate::ids::BufferKey;
use crate::image::buffer_desc::BufferDesc;
use crate::locks::{Mutex, lock};
use crate::memory::constraint::AccessConstraint;
use crate::memory::dynamic_exporter::DynamicExporter;
use crate::memory::export_error::ExportError;
use crate::memory::ledger::Ledger;
use crate::memory::pins::PinReport;
use crate::memory::placement::Placement;
use crate::residency::eviction_order::Victims;
use crate::residency::member::Link;
use crate::residency::statistics::{Counters, ResidencyStatistics};
use crate::residency::use_clock::UseClock;
use crate::shared_buffer::SharedBuffer;

/// How long an allocation waits for memory that was left, unless told otherwise.
const LET_GO_DEADLINE: Duration = Duration::from_secs(5);
/// How long a buffer that came back stays, unless told otherwise.
const HOLD: Duration = Duration::from_millis(100);

/// How much a buffer is worth its place: of a lower priority it goes first, whenever it was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Priority(pub u8);

pub(crate) struct Shared {
    clock: UseClock,
    ledger: Arc<Ledger>,
    victims: [Victims; Placement::COUNT],
    members: Mutex<BTreeMap<BufferKey, Weak<BufferInner>>>,
    /// Those that have left memory behind which is not let go, or are moving.
    leaving: Mutex<BTreeMap<BufferKey, Weak<BufferInner>>>,
    /// One exporter for each pool, while there are buffers.
    exporters: Mutex<Vec<Arc<dyn DynamicExporter>>>,
    let_go_deadline: Mutex<Duration>,
    hold: Mutex<Duration>,
    counters: Counters,
}

/// Keeps a set of buffers within a budget for each place. Clones are the same.
///
/// A buffer that is made through it counts in its place until its memory is let go; old memory of a
/// buffer that has moved counts for as long as someone maps it or its fences are pending. When a place
/// is full, buffers are moved out of it: those of the lowest priority first, among these the one that
/// was used least recently; pinned ones never. A buffer that was moved out comes back when it is
/// mapped again. If there is no room for that without moving something that has itself just come
/// back, it is used where it is instead: a working set that is larger than the budget does not move
/// on every frame.
///
/// The budget is the application's. What a driver reports
/// ([`set_reported_limit`](Self::set_reported_limit), from `VK_EXT_memory_budget`) only lowers it:
/// drivers tell it late, and for the whole system.
///
/// A use (map, submit) of a buffer that is in its place takes no lock here; choosing what to move is
/// O(log n) in the number of buffers.
#[derive(Clone)]
pub struct Residency {
    shared: Arc<Shared>,
}

impl Default for Residency {
    fn default() -> Self {
        Self::new()
    }
}

impl Residency {
    /// A set of buffers without any limit.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                clock: UseClock::default(),
                ledger: Arc::new(Ledger::default()),
                victims: Default::default(),
                members: Mutex::new(BTreeMap::new()),
                leaving: Mutex::new(BTreeMap::new()),
                exporters: Mutex::new(Vec::new()),
                let_go_deadline: Mutex::new(LET_GO_DEADLINE),
                hold: Mutex::new(HOLD),
                counters: Counters::default(),
            }),
        }
    }

    /// How many bytes of a place the buffers may take together. A lower budget than what is in use
    /// moves nothing by itself; [`trim`](Self::trim) does, and the next allocation.
    pub fn set_budget(&self, placement: Placement, bytes: u64) {
        self.shared.ledger.set_budget(placement, bytes);
    }

    /// What the driver says that this process may use of a place, which lowers the budget; `None` if
    /// it says nothing. For polling off the hot path.
    pub fn set_reported_limit(&self, placement: Placement, bytes: Option<u64>) {
        self.shared.ledger.set_reported(placement, bytes);
    }

    /// How long an allocation waits for memory that buffers have left and others still use, before it
    /// fails with their list. Five seconds at first.
    pub fn set_let_go_deadline(&self, deadline: Duration) {
        *lock(&self.shared.let_go_deadline) = deadline;
    }

    /// How long a buffer that came back is safe from being moved away so that another can come back.
    /// 100 milliseconds at first; 0 for none.
    pub fn set_hold(&self, hold: Duration) {
        *lock(&self.shared.hold) = hold;
    }

    /// Has `exporter` make a buffer that fits `wanted`, in the first of its places that has room,
    /// moving others out of there if need be. That place is where it comes back to. Name one place
    /// ([`AccessConstraint::placements`]) for a buffer that had better not be made than be elsewhere.
    ///
    /// # Errors
    /// - [`ExportError::NoSpace`]: everything there is pinned (with the list), or not let go in time.
    /// - The others of [`SharedBuffer::new_dynamic`].
    pub fn create<E: DynamicExporter + Clone + 'static>(
        &self,
        exporter: &E,
        desc: BufferDesc,
        wanted: &AccessConstraint,
        priority: Priority,
    ) -> Result<SharedBuffer, ExportError> {
        let exporter: Arc<dyn DynamicExporter> = Arc::new(exporter.clone());
        SharedBuffer::make_dynamic(&exporter, desc, wanted, Some((&self.shared, priority)))
    }

    /// Gives memory of a place back: moves buffers out of it until `bytes` have been left or nothing
    /// more can move, empties the exporters' pools there, and tells what came of it. They come back
    /// when they are used. For an application whose displays went to sleep.
    pub fn trim(&self, placement: Placement, bytes: u64) -> TrimReport {
        self.shared.trim(placement, bytes)
    }

    /// Gives back old memory that nobody uses any more, submits copies that had to wait, and finds
    /// importers that have not let go in time. For calling once a frame.
    pub fn dispatch(&self) {
        self.shared.dispatch();
    }

    /// Bytes that the buffers take in a place, old memory that is not let go included.
    pub fn used(&self, placement: Placement) -> u64 {
        self.shared.ledger.used(placement)
    }

    /// The lower of budget and reported limit; `None` if there is neither.
    pub fn limit(&self, placement: Placement) -> Option<u64> {
        let limit = self.shared.ledger.limit(placement);
        (limit < u64::MAX).then_some(limit)
    }

    /// What was done so far.
    pub fn statistics(&self) -> ResidencyStatistics {
        self.shared.counters.read()
    }
}

impl Shared {
    /// Whether more is in use than there may be.
    pub(crate) fn is_over(&self, placement: Placement) -> bool {
        self.ledger.used(placement) > self.ledger.limit(placement)
    }

    fn tick(&self) -> u64 {
        self.clock.now()
    }

    /// A buffer is there.
    pub(crate) fn add(self: &Arc<Self>, buffer: &Arc<BufferInner>, priority: Priority) {
        let placement = buffer.backing().placement();
        let link = Link::new(self.clone(), priority, placement);
        if buffer.residency.set(link).is_err() {
            return;
        }
        lock(&self.members).insert(buffer.key, Arc::downgrade(buffer));
        if let Some(exporter) = &buffer.dynamic
            && let Some(pool) = exporter.pool()
        {
            // Clones of an exporter share their pool.
            let mut pools = lock(&self.exporters);
            let is_known = pools
                .iter()
                .any(|known| known.pool().is_some_and(|known| std::ptr::eq(known, pool)));
            if !is_known {
                pools.push(exporter.clone());
            }
        }
        buffer.touch();
        self.relist(buffer);
    }

    /// All buffers that are there. The references are dropped by the caller, with nothing locked.
    fn all(&self) -> Vec<Arc<BufferInner>> {
        let members = lock(&self.members);
        members.values().filter_map(Weak::upgrade).collect()
    }
}

/// What [`Residency::trim`] came to.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct TrimReport {
    /// Bytes that buffers have left, and that were in pools. Memory that others still use is given
    /// back later.
    pub bytes: u64,
    /// Buffers that were moved.
    pub moved: usize,
    /// Who could not move, and why.
    pub refused: Vec<(String, String)>,
    /// Every pin that is in the way, with the buffer's name; empty if as much was given back as was
    /// asked for.
    pub pins: Vec<(String, PinReport)>,
}

impl fmt::Debug for Residency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Residency")
            .field("statistics", &self.statistics())
            .finish_non_exhaustive()
    }
}
