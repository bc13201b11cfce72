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

/// Keeps a set of buffers within a budget for each place. Clones share the same set.
///
/// A buffer made by [`create`](Self::create) counts in its place until its memory is released. Old
/// memory of a buffer that has moved counts while it is mapped or its fences are pending. When a place
/// is full, the residency moves buffers out of it: the lowest priority first, then the least recently
/// used. It never moves a pinned buffer. A buffer that was moved out comes back when it is mapped
/// again. If that would move out a buffer that has itself just come back, the buffer is used where it
/// is, so that a working set larger than the budget does not move on every frame.
///
/// The application sets the budget. The limit that a driver reports
/// ([`set_reported_limit`](Self::set_reported_limit), from `VK_EXT_memory_budget`) only lowers it,
/// because drivers report it late and for the whole system.
///
/// A use (map, submit) of a buffer in its place takes no lock of the residency. Choosing a buffer to
/// move is O(log n) in the number of buffers.
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
    /// An empty set without limits.
    pub fn new() -> Self {
        Self {
            inner: Arc::new(ResidencyInner::default()),
        }
    }

    /// Sets how many bytes of a place the buffers may take together. A budget below what is in use
    /// moves nothing by itself; the next allocation or [`trim`](Self::trim) does.
    pub fn set_budget(&self, placement: Placement, bytes: u64) {
        self.inner.ledger.set_budget(placement, bytes);
    }

    /// Sets how many bytes of a place this process may use, as the driver reports it; `None` if it
    /// reports nothing. It only lowers the budget. Poll the driver off the hot path.
    pub fn set_reported_limit(&self, placement: Placement, bytes: Option<u64>) {
        self.inner.ledger.set_reported(placement, bytes);
    }

    /// Sets how long an allocation waits for old memory that is still in use, before it fails with the
    /// list of its users. The default is 5 seconds.
    pub fn set_let_go_deadline(&self, deadline: Duration) {
        *lock(&self.inner.let_go_deadline) = deadline;
    }

    /// Sets how long a buffer that came back is protected from being moved out so that another can come
    /// back. The default is 100 milliseconds; 0 disables it.
    pub fn set_hold(&self, hold: Duration) {
        *lock(&self.inner.hold) = hold;
    }

    /// Makes a buffer that fits `wanted` with `exporter`, in the first of its places that has room, and
    /// moves other buffers out of there if necessary. The buffer later comes back to that place. Allow
    /// a single place ([`AccessConstraint::placements`]) if the buffer must not be anywhere else.
    ///
    /// # Errors
    /// - [`ExportError::NoSpace`]: everything there is pinned (with the list of pins), or old memory
    ///   was not released in time.
    /// - The other errors of [`SharedBuffer::new_dynamic`].
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

    /// Frees memory of a place: moves buffers out of it until they have left `bytes` or no more can
    /// move, and empties the exporters' pools there. The buffers come back when they are used. For
    /// example, an application does this when its displays go to sleep.
    pub fn trim(&self, placement: Placement, bytes: u64) -> TrimReport {
        self.inner.trim(placement, bytes)
    }

    /// Frees old memory that is no longer in use, submits copies that had to wait, and finds importers
    /// that have not released their mappings in time. Call it once a frame.
    pub fn dispatch(&self) {
        self.inner.dispatch();
    }

    /// Bytes that the buffers take in a place, including old memory that is still in use.
    pub fn used(&self, placement: Placement) -> u64 {
        self.inner.ledger.used(placement)
    }

    /// The lower of the budget and the reported limit, in bytes; `None` if neither is set.
    pub fn limit(&self, placement: Placement) -> Option<u64> {
        let limit = self.inner.ledger.limit(placement);
        (limit < u64::MAX).then_some(limit)
    }

    /// What the residency has done so far.
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
