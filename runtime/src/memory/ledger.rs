//! The bytes in use in each placement, and their limits.

use std::fmt;
use std::sync::Arc;

use crate::locks::{AtomicU64, Ordering};
use crate::memory::placement::Placement;

#[derive(Debug)]
struct Heap {
    used: AtomicU64,
    budget: AtomicU64,
    reported: AtomicU64,
}

impl Default for Heap {
    fn default() -> Self {
        Self {
            used: AtomicU64::new(0),
            budget: AtomicU64::new(u64::MAX),
            reported: AtomicU64::new(u64::MAX),
        }
    }
}

/// Accounts for the memory of a residency, by placement.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    heaps: [Heap; Placement::COUNT],
}

impl Ledger {
    fn heap(&self, placement: Placement) -> &Heap {
        &self.heaps[placement.index()]
    }

    pub(crate) fn set_budget(&self, placement: Placement, bytes: u64) {
        self.heap(placement).budget.store(bytes, Ordering::Release);
    }

    pub(crate) fn set_reported(&self, placement: Placement, bytes: Option<u64>) {
        let bytes = bytes.unwrap_or(u64::MAX);
        self.heap(placement)
            .reported
            .store(bytes, Ordering::Release);
    }

    pub(crate) fn used(&self, placement: Placement) -> u64 {
        self.heap(placement).used.load(Ordering::Acquire)
    }

    pub(crate) fn limit(&self, placement: Placement) -> u64 {
        let heap = self.heap(placement);
        let budget = heap.budget.load(Ordering::Acquire);
        budget.min(heap.reported.load(Ordering::Acquire))
    }

    /// Charges `bytes` if they fit into the limit.
    pub(crate) fn charge(self: &Arc<Self>, placement: Placement, bytes: u64) -> Option<Charge> {
        let limit = self.limit(placement);
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= limit);
        let used = &self.heap(placement).used;
        let charged = used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits);
        charged.ok().map(|_| Charge {
            inner: Arc::new(ChargeInner {
                ledger: self.clone(),
                placement,
                bytes: AtomicU64::new(bytes),
            }),
        })
    }
}

struct ChargeInner {
    ledger: Arc<Ledger>,
    placement: Placement,
    bytes: AtomicU64,
}

impl Drop for ChargeInner {
    fn drop(&mut self) {
        let bytes = self.bytes.load(Ordering::Acquire);
        let used = &self.ledger.heap(self.placement).used;
        used.fetch_sub(bytes, Ordering::AcqRel);
    }
}

/// Bytes that count as used until this and its clones are dropped.
#[derive(Clone)]
pub(crate) struct Charge {
    inner: Arc<ChargeInner>,
}

impl Charge {
    /// Sets the charge to the size that the allocation turned out to have. The sum may exceed the limit;
    /// the next allocation takes that into account.
    pub(crate) fn resized(self, bytes: u64) -> Self {
        let used = &self.inner.ledger.heap(self.inner.placement).used;
        let before = self.inner.bytes.swap(bytes, Ordering::AcqRel);
        if bytes >= before {
            used.fetch_add(bytes - before, Ordering::AcqRel);
        } else {
            used.fetch_sub(before - bytes, Ordering::AcqRel);
        }
        self
    }
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Charge")
            .field("placement", &self.inner.placement)
            .field("bytes", &self.inner.bytes.load(Ordering::Relaxed))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges_count_until_they_are_dropped() {
        let ledger = Arc::new(Ledger::default());
        ledger.set_budget(Placement::Device, 100);
        let first = ledger.charge(Placement::Device, 60).unwrap();
        assert!(ledger.charge(Placement::Device, 41).is_none());
        let second = ledger.charge(Placement::Device, 40).unwrap().resized(20);
        assert_eq!(ledger.used(Placement::Device), 80);
        let clone = first.clone();
        drop(first);
        assert_eq!(ledger.used(Placement::Device), 80);
        drop((clone, second));
        assert_eq!(ledger.used(Placement::Device), 0);
    }

    #[test]
    fn a_reported_limit_only_lowers() {
        let ledger = Arc::new(Ledger::default());
        ledger.set_budget(Placement::Device, 100);
        ledger.set_reported(Placement::Device, Some(200));
        assert_eq!(ledger.limit(Placement::Device), 100);
        ledger.set_reported(Placement::Device, Some(50));
        assert!(ledger.charge(Placement::Device, 51).is_none());
        ledger.set_reported(Placement::Device, None);
        assert!(ledger.charge(Placement::Device, 51).is_some());
        assert!(ledger.charge(Placement::Host, u64::MAX).is_some());
    }
}
