//! Identities that are unique in this process.

use std::cell::Cell;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// How many numbers a thread takes at a time.
const BLOCK: u64 = 256;

/// Returns a number that no other call on any thread returns, and never 0. Each thread takes numbers in
/// blocks, so that threads do not contend for one counter at each pin.
pub(crate) fn unique_number() -> u64 {
    static NEXT_BLOCK: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        /// The next number and the end of this thread's block.
        static OWN: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
    }
    let (mut next, mut end) = OWN.get();
    if next == end {
        next = NEXT_BLOCK.fetch_add(BLOCK, Ordering::Relaxed);
        // 2^64 numbers never run out.
        end = next.wrapping_add(BLOCK);
    }
    OWN.set((next.wrapping_add(1), end));
    next
}

/// Identity of an attachment, unique in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct AttachmentId(NonZeroU64);

impl AttachmentId {
    pub(crate) fn unique() -> Self {
        // The number is never 0.
        Self(NonZeroU64::new(unique_number()).unwrap_or(NonZeroU64::MAX))
    }

    pub(crate) fn as_number(self) -> u64 {
        self.0.get()
    }

    /// Converts back from [`as_number`](Self::as_number); `None` for 0.
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }
}

/// Identity of a pin, unique in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PinId(u64);

impl PinId {
    pub(crate) fn unique() -> Self {
        Self(unique_number())
    }
}

/// Identity of a buffer, unique in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BufferKey(u64);

impl BufferKey {
    pub(crate) fn unique() -> Self {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        Self(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_number_comes_twice_on_any_thread() {
        let of_threads = std::thread::scope(|scope| {
            let take = || -> Vec<u64> { (0..1000).map(|_| unique_number()).collect() };
            [(); 4]
                .map(|()| scope.spawn(take))
                .map(|thread| thread.join().unwrap())
        });
        let all: BTreeSet<u64> = of_threads.iter().flatten().copied().collect();
        assert_eq!(all.len(), 4000);
        assert!(!all.contains(&0));
    }
}
