//! When a buffer was used last.

use std::sync::atomic::AtomicU64 as Counter;

use crate::locks::{AtomicU64, Ordering};
use crate::sys::cycles::cycles;

/// The time of a buffer's last use, as a number: the greater, the later.
///
/// Every map and every submission takes the time, on every thread, so threads share nothing where the
/// processor has a cycle counter. A number that all threads count up makes each of them wait for the
/// others' caches: two threads took five times as long as one. The counters of two processors may
/// differ a little. Then one buffer counts as used a little earlier than another and is moved before
/// it, no more.
#[derive(Debug, Default)]
pub(crate) struct LastUse(AtomicU64);

impl LastUse {
    /// The buffer is used now.
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
    // A model checker must see the same numbers in the same order each time; a clock has no order.
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
