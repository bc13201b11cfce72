//! Several fences that are waited for together.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::{Fence, FenceError, FenceStatus};

/// Fences that must all signal. Of one timeline only the latest point is kept; four fit without an
/// allocation.
#[derive(Clone, Debug, Default)]
pub struct FenceSet {
    fences: SmallVec<[Fence; 4]>,
}

impl FenceSet {
    /// No fences: always over.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fence, unless one that is already there signals no earlier.
    pub fn insert(&mut self, fence: Fence) {
        if self.fences.iter().any(|known| known.supersedes(&fence)) {
            return;
        }
        match self.fences.iter_mut().find(|known| fence.supersedes(known)) {
            Some(known) => *known = fence,
            None => self.fences.push(fence),
        }
    }

    /// Whether there are no fences.
    pub fn is_empty(&self) -> bool {
        self.fences.is_empty()
    }

    /// The fences.
    pub fn iter(&self) -> impl Iterator<Item = &Fence> {
        self.fences.iter()
    }

    /// The fences that are pending now.
    pub fn pending(&self) -> impl Iterator<Item = &Fence> {
        self.iter()
            .filter(|fence| fence.status() == FenceStatus::Pending)
    }

    /// Pending while any is; else failed if any failed. Does not block.
    pub fn status(&self) -> FenceStatus {
        let mut status = FenceStatus::Signalled;
        for fence in &self.fences {
            match fence.status() {
                FenceStatus::Pending => return FenceStatus::Pending,
                FenceStatus::Signalled => {}
                failed @ FenceStatus::Failed(_) => status = failed,
            }
        }
        status
    }

    /// Waits for all, for `timeout` at most. When one fails, the others are waited for all the same.
    ///
    /// # Errors
    /// That of the first fence that did not signal in time or failed; see [`Fence::wait`].
    pub fn wait(&self, timeout: Duration) -> Result<(), FenceError> {
        let start = Instant::now();
        let mut result = Ok(());
        for fence in &self.fences {
            let waited = fence.wait(timeout.saturating_sub(start.elapsed()));
            result = result.and(waited);
        }
        result
    }
}

impl FromIterator<Fence> for FenceSet {
    fn from_iter<T: IntoIterator<Item = Fence>>(fences: T) -> Self {
        let mut set = Self::new();
        for fence in fences {
            set.insert(fence);
        }
        set
    }
}
