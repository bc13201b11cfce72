//! The order of uses.

use crate::locks::{AtomicU64, Ordering};
use crate::sys::cycles::cycles;

/// Numbers uses: the greater, the later.
///
/// Every map and every submission asks, on whatever thread, so where the processor has a counter of its
/// own nothing is shared: a number that all threads count up makes each of them wait for the others'
/// caches, and two threads took five times as long as one. Processors' counters may differ a little,
/// and then a buffer is taken for a little less used than another: it is moved before that one, no
/// more.
#[derive(Debug, Default)]
pub(super) struct UseClock {
    /// Where there is no such counter.
    counted: AtomicU64,
}

impl UseClock {
    #[inline]
    pub(super) fn now(&self) -> u64 {
        // A model checker repeats what it has seen, which it cannot with a clock of the machine's.
        match cycles().filter(|_| !cfg!(feature = "shuttle")) {
            Some(cycles) => cycles,
            None => self.counted.fetch_add(1, Ordering::Relaxed) + 1,
        }
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;

    #[test]
    fn a_later_use_has_a_greater_number() {
        let clock = UseClock::default();
        let mut last = 0;
        for _ in 0..1000 {
            let now = clock.now();
            assert!(now > last, "{now} after {last}");
            last = now;
        }
    }
}
