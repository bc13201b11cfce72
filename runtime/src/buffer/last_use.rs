//! The time of a buffer's last use.

use std::sync::atomic::AtomicU64 as Counter;

use crate::locks::{AtomicU64, Ordering};
use crate::sys::cycles::cycles;

/// The time of a buffer's last use, as a number that is greater for a later use.
///
/// Every map and every submission on every thread stores it, so where the processor has a cycle counter
/// the threads share no counter: two threads that increment one atomic took five times as long as one
/// thread. The cycle counters of two processors may differ slightly; that only changes the order in
/// which two buffers with nearly the same last use are evicted.
#[derive(Debug, Default)]
pub(crate) struct LastUse(AtomicU64);

impl LastUse {
    /// Stores the current time as the last use.
    #[inline]
    pub(crate) fn note(&self) {
        self.0.store(now(), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[inline]
fn now() -> u64 {
    static COUNTED: Counter = Counter::new(0);
    // A model checker must see the same numbers in every run, which a clock does not give.
    match cycles().filter(|_| !cfg!(feature = "shuttle")) {
        Some(cycles) => cycles,
        None => COUNTED.fetch_add(1, Ordering::Relaxed) + 1,
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;

    #[test]
    fn a_later_use_has_a_greater_number() {
        let mut last = 0;
        for _ in 0..1000 {
            let now = now();
            assert!(now > last, "{now} after {last}");
            last = now;
        }
    }
}
