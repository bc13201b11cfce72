//! Work that read the output of a failed write.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dmashare::{FenceStatus, SyncFile};
use nix::errno::Errno;

/// How many failures are kept; the oldest are forgotten first.
const KEPT: usize = 1024;

/// The sync_files of writes that the work of each point waits for. A queue does not stop when one
/// of them ends in an error, and does not report it; the fence of the point does.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// Whether `state` is not empty. If it is, a query costs one load.
    any: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The writes of points that had not been reached at the last query.
    waiting: VecDeque<(u64, Arc<SyncFile>)>,
    failed: BTreeMap<u64, Errno>,
}

impl Inputs {
    /// Records that the work of `point` waits for this write.
    pub(crate) fn add(&self, point: u64, write: Arc<SyncFile>) {
        // The state changes by single insertions and removals, so a panic leaves it consistent.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting.push_back((point, write));
        self.any.store(true, Ordering::Release);
    }

    /// The error of a write that the work of `point` waited for, if one has failed, with the queue
    /// at `reached`.
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
