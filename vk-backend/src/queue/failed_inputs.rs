//! Work whose input was never written.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dmashare::{FenceStatus, SyncFile};
use nix::errno::Errno;

/// So many failures are kept; the oldest are forgotten first.
const KEPT: usize = 1024;

/// The sync_files of writes that the work of each point waits for. A queue goes on when one of them
/// ends in an error, and says nothing of it; here the point fails with it.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// Whether there is anything below. Without it, asking costs one load.
    any: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Of points that were not reached when they were last looked at.
    waiting: VecDeque<(u64, Arc<SyncFile>)>,
    failed: BTreeMap<u64, Errno>,
}

impl Inputs {
    /// The work of `point` waits for this write.
    pub(crate) fn add(&self, point: u64, write: Arc<SyncFile>) {
        // Changed by whole pushes and removals, so a panic leaves it whole.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting.push_back((point, write));
        self.any.store(true, Ordering::Release);
    }

    /// Why the work of `point` has come to nothing, if it has, now that the queue is at `reached`.
    pub(crate) fn failure(&self, point: u64, reached: u64) -> Option<Errno> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { waiting, failed } = &mut *state;
        waiting.retain(|(of, write)| {
            if *of > reached {
                return true;
            }
            if let Ok(FenceStatus::Failed(errno)) = write.status() {
                failed.insert(*of, errno);
            }
            false
        });
        while failed.len() > KEPT {
            failed.pop_first();
        }
        let failure = failed.get(&point).copied();
        self.any.store(
            !(waiting.is_empty() && failed.is_empty()),
            Ordering::Release,
        );
        failure
    }
}
