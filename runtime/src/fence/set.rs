//! Sets of fences that are waited for together.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::fence::Fence;
use crate::fence::error::FenceError;
use crate::fence::status::FenceStatus;
use crate::fence::sync_file::SyncFile;

/// Fences that must all signal. Only the latest point of each timeline is kept. Up to four fences need no
/// allocation.
#[derive(Clone, Debug, Default)]
pub struct FenceSet {
    fences: SmallVec<[Fence; 4]>,
}

impl FenceSet {
    /// An empty set, which is always over.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fence, unless the set has one on the same timeline that signals no earlier.
    pub fn insert(&mut self, fence: Fence) {
        if self.fences.iter().any(|known| known.supersedes(&fence)) {
            return;
        }
        match self.fences.iter_mut().find(|known| fence.supersedes(known)) {
            Some(known) => *known = fence,
            None => self.fences.push(fence),
        }
    }

    /// Whether the set is empty.
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

    /// Pending if any fence is pending, else failed if any has failed, else signalled. Does not block.
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

    /// Whether the work of all fences has ended: [`Fence::is_finished`].
    pub fn is_finished(&self) -> bool {
        self.fences.iter().all(Fence::is_finished)
    }

    /// Makes one sync_file that signals when all fences have signalled; `None` if none is pending. It
    /// leaves out failed fences, so check [`status`](Self::status) first. Exports a sync_file of each
    /// pending fence ([`Fence::export_sync_file`]), and merges them with one `SYNC_IOC_MERGE` for each
    /// but the first.
    ///
    /// # Errors
    /// As [`Fence::export_sync_file`], for instance if a fence has no sync_file.
    pub fn export_sync_file(&self) -> Result<Option<SyncFile>, FenceError> {
        let mut files = SmallVec::<[SyncFile; 4]>::new();
        for fence in self.pending() {
            match fence.export_sync_file() {
                Ok(file) => files.push(file),
                // The fence has signalled or failed meanwhile.
                Err(FenceError::NoSyncFile { .. }) if fence.status().is_over() => {}
                Err(error) => return Err(error),
            }
        }
        if files.len() == 1 {
            return Ok(files.pop());
        }
        Ok(SyncFile::merge_all(&files)?)
    }

    /// Waits for all fences, for at most `timeout`. If one fails, still waits for the others.
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
