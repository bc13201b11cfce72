//! Counters of a residency.

use std::time::Duration;

use serde::Serialize;

use crate::locks::{AtomicU64, Ordering};

/// What a [`Residency`](crate::Residency) has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ResidencyStatistics {
    /// Buffers that were moved out of their place.
    pub evictions: u64,
    /// Bytes of the buffers that were moved out.
    pub evicted_bytes: u64,
    /// Buffers that came back when they were used.
    pub restores: u64,
    /// Bytes of the buffers that came back.
    pub restored_bytes: u64,
    /// Uses of a buffer where it was, because there was no room for it to come back.
    pub used_away: u64,
    /// Buffers that were considered for eviction but could not move: they were pinned, or the move
    /// failed.
    pub refused: u64,
    /// Total time that allocations have waited for old memory that was still in use.
    pub stalled: Duration,
}

impl ResidencyStatistics {
    /// Moves in both directions.
    pub fn moves(&self) -> u64 {
        self.evictions + self.restores
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    evictions: AtomicU64,
    evicted_bytes: AtomicU64,
    restores: AtomicU64,
    restored_bytes: AtomicU64,
    used_away: AtomicU64,
    refused: AtomicU64,
    stalled: AtomicU64,
}

impl Counters {
    pub(super) fn evicted(&self, bytes: u64) {
        self.evictions.fetch_add(1, Ordering::Relaxed);
        self.evicted_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn restored(&self, bytes: u64) {
        self.restores.fetch_add(1, Ordering::Relaxed);
        self.restored_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn not_restored(&self) {
        self.used_away.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stalled(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.stalled.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> ResidencyStatistics {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ResidencyStatistics {
            evictions: get(&self.evictions),
            evicted_bytes: get(&self.evicted_bytes),
            restores: get(&self.restores),
            restored_bytes: get(&self.restored_bytes),
            used_away: get(&self.used_away),
            refused: get(&self.refused),
            stalled: Duration::from_nanos(get(&self.stalled)),
        }
    }
}
