//! Frees memory: on demand, from pools, and when it is no longer in use.

use serde::Serialize;

use crate::buffer::keeper::Force;
use crate::buffer::state::Status;
use crate::locks::lock;
use crate::memory::backing::Allocation;
use crate::memory::pins::PinReport;
use crate::memory::placement::Placement;
use crate::residency::inner::ResidencyInner;
use crate::residency::make_room::SetAside;

/// Result of [`Residency::trim`](crate::Residency::trim).
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct TrimReport {
    /// Bytes that buffers have left. Memory that is still in use is freed later.
    pub bytes: u64,
    /// Bytes of the exporters' pools that were freed. Some of it may be what these buffers have just left.
    pub pooled: u64,
    /// Buffers that were moved.
    pub moved: usize,
    /// Buffers that could not move: the name and the error.
    pub refused: Vec<(String, String)>,
    /// Pins of the buffers that remain in the place, each with the buffer's name; empty if buffers have
    /// left as many bytes as requested.
    pub pins: Vec<(String, PinReport)>,
}

impl ResidencyInner {
    pub(super) fn trim(&self, placement: Placement, bytes: u64) -> TrimReport {
        let mut report = TrimReport::default();
        let mut aside = SetAside::default();
        while report.bytes < bytes {
            let Some(chosen) = self.choose(placement, None, Force::Firmly, &mut aside) else {
                break;
            };
            match self.evict(&chosen.1, placement) {
                Ok(left) => {
                    report.bytes += left;
                    report.moved += 1;
                }
                Err(error) => {
                    self.counters.refused();
                    report
                        .refused
                        .push((chosen.1.name().to_owned(), error.to_string()));
                    self.set_aside(chosen, &mut aside);
                }
            }
        }
        self.put_back(aside);
        if report.bytes < bytes {
            report.pins = self.pins(placement);
        }
        self.dispatch();
        report.pooled = self.trim_pools(placement, bytes);
        report
    }

    /// Shrinks the exporters' pools until they and the memory in use fit the budget, and by at least
    /// `bytes`. Returns how many bytes were freed.
    pub(super) fn trim_pools(&self, placement: Placement, bytes: u64) -> u64 {
        let exporters = lock(&self.exporters).clone();
        let pools = || exporters.iter().filter_map(|exporter| exporter.pool());
        let pooled: u64 = pools().map(|pool| pool.bytes(placement)).sum();
        let sum = self.ledger.used(placement).saturating_add(pooled);
        let mut excess = sum
            .saturating_sub(self.ledger.limit(placement))
            .max(bytes)
            .min(pooled);
        let mut total = 0;
        for pool in pools() {
            if excess == 0 {
                break;
            }
            let freed = pool.shrink(placement, excess);
            let bytes = freed.iter().map(Allocation::bytes).sum();
            excess = excess.saturating_sub(bytes);
            total += bytes;
        }
        total
    }

    pub(super) fn dispatch(&self) {
        for buffer in self.leavers() {
            buffer.advance();
            buffer.collect();
            let is_done = {
                let state = buffer.state();
                state.old.is_empty() && !matches!(state.status, Status::Moving(_))
            };
            if is_done {
                let mut leaving = lock(&self.leaving);
                // Another move may have begun since.
                let is_done = {
                    let state = buffer.state();
                    state.old.is_empty() && !matches!(state.status, Status::Moving(_))
                };
                if is_done {
                    leaving.remove(&buffer.key);
                }
            }
        }
    }
}
