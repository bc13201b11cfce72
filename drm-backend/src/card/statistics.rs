//! Counters of a card's operations.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of a card's operations since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Commits that the kernel accepted.
    pub commits: u64,
    /// All `DRM_IOCTL_MODE_ATOMIC` calls, including checks.
    pub atomic_ioctls: u64,
    /// `DRM_IOCTL_MODE_ATOMIC` calls that were checks (`TEST_ONLY`).
    pub tests: u64,
    /// Flip events that were reported.
    pub flips: u64,
    /// Commits that failed because the previous one was still pending (`EBUSY`).
    pub busy: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) atomic_ioctls: AtomicU64,
    pub(crate) tests: AtomicU64,
    pub(crate) flips: AtomicU64,
    pub(crate) busy: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self) -> Statistics {
        Statistics {
            commits: self.commits.load(Ordering::Relaxed),
            atomic_ioctls: self.atomic_ioctls.load(Ordering::Relaxed),
            tests: self.tests.load(Ordering::Relaxed),
            flips: self.flips.load(Ordering::Relaxed),
            busy: self.busy.load(Ordering::Relaxed),
        }
    }
}
