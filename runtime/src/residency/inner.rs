//! The state that the clones of a residency share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::buffer::BufferInner;
use crate::ids::BufferKey;
use crate::locks::{Mutex, Ordering, lock};
use crate::memory::dynamic_exporter::DynamicExporter;
use crate::memory::ledger::Ledger;
use crate::memory::placement::Placement;
use crate::residency::eviction_order::EvictionOrder;
use crate::residency::member::Member;
use crate::residency::statistics::Counters;

/// Default time that an allocation waits for old memory.
const LET_GO_DEADLINE: Duration = Duration::from_secs(5);
/// Default time that a buffer that came back is protected.
const HOLD: Duration = Duration::from_millis(100);

pub(crate) struct ResidencyInner {
    pub(super) ledger: Arc<Ledger>,
    /// For each place, the order in which buffers leave it.
    pub(super) eviction_orders: [EvictionOrder<Self>; Placement::COUNT],
    pub(super) members: Mutex<BTreeMap<BufferKey, Arc<Member<Self>>>>,
    /// Buffers that are moving, or whose old memory is still in use.
    pub(super) leaving: Mutex<BTreeMap<BufferKey, Arc<Member<Self>>>>,
    /// One exporter for each pool, as long as there are buffers.
    pub(super) exporters: Mutex<Vec<Arc<dyn DynamicExporter>>>,
    pub(super) let_go_deadline: Mutex<Duration>,
    pub(super) hold: Mutex<Duration>,
    pub(super) counters: Counters,
}

impl Default for ResidencyInner {
    fn default() -> Self {
        Self {
            ledger: Arc::default(),
            eviction_orders: Default::default(),
            members: Mutex::default(),
            leaving: Mutex::default(),
            exporters: Mutex::default(),
            let_go_deadline: Mutex::new(LET_GO_DEADLINE),
            hold: Mutex::new(HOLD),
            counters: Counters::default(),
        }
    }
}

impl ResidencyInner {
    /// Adds a new buffer.
    pub(super) fn add(&self, member: &Arc<Member<Self>>, buffer: &BufferInner) {
        lock(&self.members).insert(buffer.key, member.clone());
        if let Some(exporter) = &buffer.dynamic
            && let Some(pool) = exporter.pool()
        {
            // Clones of an exporter share their pool.
            let mut exporters = lock(&self.exporters);
            let is_known = exporters
                .iter()
                .any(|known| known.pool().is_some_and(|known| std::ptr::eq(known, pool)));
            if !is_known {
                exporters.push(exporter.clone());
            }
        }
        buffer.touch();
        self.relist(member, buffer);
    }

    /// Removes a buffer that is being dropped.
    pub(super) fn remove(&self, member: &Member<Self>, buffer: BufferKey) {
        let (_removed, is_last) = {
            let mut members = lock(&self.members);
            (members.remove(&buffer), members.is_empty())
        };
        if is_last {
            let exporters = std::mem::take(&mut *lock(&self.exporters));
            drop(exporters);
        }
        let _left = lock(&self.leaving).remove(&buffer);
        for order in &self.eviction_orders {
            order.remove(member, buffer);
        }
    }

    /// The member that keeps a buffer.
    pub(super) fn member(&self, buffer: BufferKey) -> Option<Arc<Member<Self>>> {
        lock(&self.members).get(&buffer).cloned()
    }

    /// All buffers. The caller drops the references with no lock held.
    pub(super) fn all(&self) -> Vec<Arc<BufferInner>> {
        let members = lock(&self.members);
        members
            .values()
            .filter_map(|member| member.buffer())
            .collect()
    }

    /// Puts a buffer into the list of the place where it is, and into no other.
    pub(super) fn relist(&self, member: &Arc<Member<Self>>, buffer: &BufferInner) {
        if member.aside.load(Ordering::Acquire) {
            return;
        }
        let placement = buffer.backing().placement();
        let listed = *lock(&member.listed);
        if let Some(place) = listed
            && place != placement
        {
            self.eviction_orders[place.index()].remove(member, buffer.key);
        }
        self.eviction_orders[placement.index()].insert(placement, member, buffer);
    }
}
