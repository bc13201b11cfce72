//! Several fences that are waited for together.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::fence::Fence;
use crate::fence::error::FenceError;
use crate::fence::status::FenceStatus;
use crate::fence::sync_file::SyncFile;

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

    /// One sync_file that signals when all of them have; `None` if nothing is pending. A fence that
    /// has failed is left out: look at [`status`](Self::status) first. Costs what the sync_file of
    /// each pending fence does ([`Fence::export_sync_file`]), and one `SYNC_IOC_MERGE` for each but
    /// the first.
    ///
    /// # Errors
    /// As [`Fence::export_sync_file`]: among others, one of them has no sync_file.
    pub fn export_sync_file(&self) -> Result<Option<SyncFile>, FenceError> {
        let mut files = SmallVec::<[SyncFile; 4]>::new();
        for fence in self.pending() {
            match fence.export_sync_file() {
                Ok(file) => files.push(file),
                // It has signalled meanwhile.
                Err(FenceError::NoSyncFile { .. }) if fence.status().is_over() => {}
                Err(error) => return Err(error),
            }
        }
        if files.len() == 1 {
            return Ok(files.pop());
        }
        Ok(SyncFile::merge_all(&files)?)
    }

    /// Waits for all, for `timeout` at most. When one fails, the others are waited for all the same.
    ///
    /// # Errors
    /// The error of the first fence that did not signal in time or failed; see [`Fence::wait`].
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
