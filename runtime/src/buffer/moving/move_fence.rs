//! The fence of a move, which exists before its copy is submitted.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::fence::error::FenceError;
use crate::fence::status::FenceStatus;
use crate::fence::sync_file::SyncFile;
use crate::fence::{Fence, Timeline};
use crate::locks::{Condvar, Mutex, lock};

/// How long a consumer that needs a sync_file waits for the moving thread to submit the copy.
const SUBMISSION: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum State {
    /// The moving thread is about to submit the copy.
    Submitting,
    /// The copy can be submitted only after other fences. The next caller of
    /// [`BufferInner::advance`](crate::buffer::BufferInner::advance) after that submits it.
    Waiting,
    /// The copy was submitted, and this is its fence; `None`: there is nothing to wait for.
    By(Option<Fence>),
    /// The copy will not be done.
    Failed(Errno),
}

/// A timeline with one point, which signals when a move's copy is done. It is in the reservation from
/// the change of the buffer's backing until the copy is submitted, and is then replaced by the copy's
/// own fence, which it forwards to.
#[derive(Debug)]
pub(crate) struct MoveFence {
    producer: String,
    state: Mutex<State>,
    changed: Condvar,
}

/// The only point.
const POINT: u64 = 1;

impl MoveFence {
    pub(crate) fn new(producer: String) -> Arc<Self> {
        Arc::new(Self {
            producer,
            state: Mutex::new(State::Submitting),
            changed: Condvar::new(),
        })
    }

    pub(crate) fn fence(self: &Arc<Self>) -> Fence {
        Fence::Point {
            timeline: self.clone(),
            point: POINT,
        }
    }

    fn set(&self, next: State) {
        *lock(&self.state) = next;
        self.changed.notify_all();
    }

    /// Notes that the copy must wait for fences before it is submitted.
    pub(crate) fn wait_for_fences(&self) {
        self.set(State::Waiting);
    }

    /// Notes that the copy was submitted, with its fence, or is not needed.
    pub(crate) fn resolve(&self, fence: Option<Fence>) {
        self.set(State::By(fence));
    }

    /// Notes that the copy will not be done.
    pub(crate) fn fail(&self, errno: Errno) {
        self.set(State::Failed(errno));
    }

    /// The copy's own fence, once it is known.
    fn resolved(&self) -> Option<Option<Fence>> {
        match &*lock(&self.state) {
            State::By(fence) => Some(fence.clone()),
            _ => None,
        }
    }

    fn failed(&self, errno: Errno) -> FenceError {
        FenceError::Failed {
            producer: self.producer.clone(),
            source: errno.into(),
        }
    }
}

/// Whether a fence belongs to a move whose copy was not done. A caller that waits for the buffer
/// rather than for this move reads the buffer's reservation again.
pub(crate) fn was_undone(fence: &Fence) -> bool {
    let own = fence.point_on::<MoveFence>();
    own.is_some_and(|(own, _)| matches!(*lock(&own.state), State::Failed(_)))
}

impl Timeline for MoveFence {
    fn producer(&self) -> &str {
        &self.producer
    }

    fn status(&self, _point: u64) -> FenceStatus {
        let fence = match &*lock(&self.state) {
            State::Submitting | State::Waiting => return FenceStatus::Pending,
            State::Failed(errno) => return FenceStatus::Failed(*errno),
            State::By(fence) => fence.clone(),
        };
        fence.map_or(FenceStatus::Signalled, |fence| fence.status())
    }

    fn is_finished(&self, _point: u64) -> bool {
        let fence = match &*lock(&self.state) {
            State::Submitting | State::Waiting => return false,
            State::Failed(_) => return true,
            State::By(fence) => fence.clone(),
        };
        fence.is_none_or(|fence| fence.is_finished())
    }

    fn wait(&self, _point: u64, timeout: Duration) -> Result<(), FenceError> {
        let start = Instant::now();
        let mut state = lock(&self.state);
        loop {
            let left = timeout.saturating_sub(start.elapsed());
            match &*state {
                State::By(None) => return Ok(()),
                State::By(Some(fence)) => {
                    let fence = fence.clone();
                    drop(state);
                    return fence.wait(left);
                }
                State::Failed(errno) => return Err(self.failed(*errno)),
                State::Submitting | State::Waiting if left.is_zero() => {
                    return Err(FenceError::Timeout {
                        producer: self.producer.clone(),
                    });
                }
                State::Submitting | State::Waiting => {
                    state = self
                        .changed
                        .wait_timeout(state, left)
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .0;
                }
            }
        }
    }

    /// Waits for a moving thread that is about to submit the copy. A move whose copy waits for fences
    /// has no sync_file.
    fn export_sync_file(&self, point: u64) -> Result<SyncFile, FenceError> {
        if matches!(*lock(&self.state), State::Submitting) {
            let start = Instant::now();
            let mut state = lock(&self.state);
            while matches!(*state, State::Submitting) && start.elapsed() < SUBMISSION {
                state = self
                    .changed
                    .wait_timeout(state, SUBMISSION)
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .0;
            }
        }
        if let FenceStatus::Failed(errno) = self.status(point) {
            return Err(self.failed(errno));
        }
        match self.resolved() {
            Some(Some(fence)) => fence.export_sync_file(),
            _ => Err(FenceError::NoSyncFile {
                producer: self.producer.clone(),
            }),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
