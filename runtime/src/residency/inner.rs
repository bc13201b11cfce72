//! What the clones of a residency share.

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

/// How long an allocation waits for memory that was left, unless told otherwise.
const LET_GO_DEADLINE: Duration = Duration::from_secs(5);
/// How long a buffer that came back stays, unless told otherwise.
const HOLD: Duration = Duration::from_millis(100);

pub(crate) struct ResidencyInner {
    pub(super) ledger: Arc<Ledger>,
    /// For each place, who leaves it first.
    pub(super) eviction_orders: [EvictionOrder<Self>; Placement::COUNT],
    pub(super) members: Mutex<BTreeMap<BufferKey, Arc<Member<Self>>>>,
    /// Those that have left memory behind which is not let go, or are moving.
    pub(super) leaving: Mutex<BTreeMap<BufferKey, Arc<Member<Self>>>>,
    /// One exporter for each pool, while there are buffers.
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
    /// Adds a buffer that was made.
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

    /// Forgets a buffer that is being dropped.
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

    /// Every buffer. The caller drops the references, with nothing locked.
    pub(super) fn all(&self) -> Vec<Arc<BufferInner>> {
        let members = lock(&self.members);
        members
            .values()
            .filter_map(|member| member.buffer())
            .collect()
    }

    /// Enters a buffer in the list of the place where it is, and in no other.
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
        self.eviction_orders[placement.index()].insert(member, buffer);
    }
}
