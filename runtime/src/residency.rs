//! Keeps a set of buffers within a budget for each place.

pub(crate) mod eviction_order;
pub(crate) mod inner;
pub(crate) mod keeping;
pub(crate) mod make_room;
pub(crate) mod member;
pub(crate) mod statistics;
pub(crate) mod trim;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::buffer::keeper::Keeper;
use crate::image::buffer_desc::BufferDesc;
use crate::locks::lock;
use crate::memory::constraint::AccessConstraint;
use crate::memory::dynamic_exporter::DynamicExporter;
use crate::memory::export_error::ExportError;
use crate::memory::placement::Placement;
use crate::residency::inner::ResidencyInner;
use crate::residency::member::{Member, Priority};
use crate::residency::statistics::ResidencyStatistics;
use crate::residency::trim::TrimReport;
use crate::shared_buffer::SharedBuffer;

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
    inner: Arc<ResidencyInner>,
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
            inner: Arc::new(ResidencyInner::default()),
        }
    }

    /// How many bytes of a place the buffers may take together. A lower budget than what is in use
    /// moves nothing by itself; [`trim`](Self::trim) does, and the next allocation.
    pub fn set_budget(&self, placement: Placement, bytes: u64) {
        self.inner.ledger.set_budget(placement, bytes);
    }

    /// What the driver says that this process may use of a place, which lowers the budget; `None` if
    /// it says nothing. For polling off the hot path.
    pub fn set_reported_limit(&self, placement: Placement, bytes: Option<u64>) {
        self.inner.ledger.set_reported(placement, bytes);
    }

    /// How long an allocation waits for memory that buffers have left and others still use, before it
    /// fails with their list. Five seconds at first.
    pub fn set_let_go_deadline(&self, deadline: Duration) {
        *lock(&self.inner.let_go_deadline) = deadline;
    }

    /// How long a buffer that came back is safe from being moved away so that another can come back.
    /// 100 milliseconds at first; 0 for none.
    pub fn set_hold(&self, hold: Duration) {
        *lock(&self.inner.hold) = hold;
    }

    /// Has `exporter` make a buffer that fits `wanted`, in the first of its places that has room,
    /// moving others out of there if need be. That place is where it comes back to. Name a single place
    /// ([`AccessConstraint::placements`]) if the buffer must not be anywhere else.
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
        let member = Arc::new(Member::new(self.inner.clone(), priority));
        let keeper: Arc<dyn Keeper> = member.clone();
        let buffer = SharedBuffer::make_dynamic(&exporter, desc, wanted, Some(keeper))?;
        member.keep(buffer.inner());
        self.inner.add(&member, buffer.inner());
        Ok(buffer)
    }

    /// Gives memory of a place back: moves buffers out of it until `bytes` have been left or nothing
    /// more can move, empties the exporters' pools there, and tells what came of it. They come back
    /// when they are used. For an application whose displays went to sleep.
    pub fn trim(&self, placement: Placement, bytes: u64) -> TrimReport {
        self.inner.trim(placement, bytes)
    }

    /// Gives back old memory that is no longer in use, submits copies that had to wait, and finds
    /// importers that have not let go in time. For calling once a frame.
    pub fn dispatch(&self) {
        self.inner.dispatch();
    }

    /// Bytes that the buffers take in a place, old memory that is not let go included.
    pub fn used(&self, placement: Placement) -> u64 {
        self.inner.ledger.used(placement)
    }

    /// The lower of budget and reported limit; `None` if there is neither.
    pub fn limit(&self, placement: Placement) -> Option<u64> {
        let limit = self.inner.ledger.limit(placement);
        (limit < u64::MAX).then_some(limit)
    }

    /// Counts what was done so far.
    pub fn statistics(&self) -> ResidencyStatistics {
        self.inner.counters.read()
    }
}

impl fmt::Debug for Residency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Residency")
            .field("statistics", &self.statistics())
            .finish_non_exhaustive()
    }
}
