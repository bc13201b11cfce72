//! The state of an image's transition out of layout `UNDEFINED`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Marks a release that is still owed. No timeline has this point.
const OWED: u64 = u64::MAX;

/// Marks a finished release. Every timeline has reached this point.
const OVER: u64 = 0;

/// Whether an image's first release is owed, submitted with a point of its exporter's timeline, or
/// over.
#[derive(Debug)]
pub(crate) struct FirstRelease(AtomicU64);

impl FirstRelease {
    /// For a new image, which is in layout `UNDEFINED`.
    pub(crate) fn owed() -> Self {
        Self(AtomicU64::new(OWED))
    }

    /// For an imported image, which its exporter has released.
    pub(crate) fn over() -> Self {
        Self(AtomicU64::new(OVER))
    }

    /// The point at which the image is released; `None` while the release is owed.
    pub(crate) fn point(&self) -> Option<u64> {
        let point = self.0.load(Ordering::Acquire);
        (point != OWED).then_some(point)
    }

    /// The release was submitted with `point`.
    pub(crate) fn set_submitted(&self, point: u64) {
        self.0.store(point, Ordering::Release);
    }

    /// The work of the release is done.
    pub(crate) fn set_over(&self) {
        self.0.store(OVER, Ordering::Release);
    }
}
