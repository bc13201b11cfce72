//! The fence of a move, from before its copy is on its way.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::fence::error::FenceError;
use crate::fence::status::FenceStatus;
use crate::fence::sync_file::SyncFile;
use crate::fence::{Fence, Timeline, TimelineId};
use crate::locks::{Condvar, Mutex, lock};

/// How long a consumer that needs a sync_file waits for the mover to submit its copy.
const SUBMISSION: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum State {
    /// The mover is about to submit the copy.
    Submitting,
    /// Someone must wait for fences first, and then submit it.
    Waiting,
    /// The copy was submitted: this fence says when it is done. `None`: nothing is left to wait for.
    By(Option<Fence>),
    /// The copy will not be done.
    Failed(Errno),
}

/// A timeline with one point, which signals when a move's copy is done. Everyone who comes between
/// the moment at which the buffer's backing changed and the submission of the copy gets this; from
/// the submission on it is the copy's own fence.
#[derive(Debug)]
pub(crate) struct MoveFence {
    id: TimelineId,
    producer: String,
    state: Mutex<State>,
    changed: Condvar,
}

/// The only point.
const POINT: u64 = 1;

impl MoveFence {
    pub(crate) fn new(producer: String) -> Arc<Self> {
        Arc::new(Self {
            id: TimelineId::unique(),
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

    /// The copy cannot be submitted yet.
    pub(crate) fn wait_for_fences(&self) {
        self.set(State::Waiting);
    }

    /// The copy was submitted, or is not needed.
    pub(crate) fn resolve(&self, fence: Option<Fence>) {
        self.set(State::By(fence));
    }

    /// The copy was not done.
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

/// Whether a fence is that of a move whose copy was not done. A caller that waits for the
/// buffer, and not for this move, looks at the buffer's reservation again.
pub(crate) fn was_undone(fence: &Fence) -> bool {
    let Fence::Point { timeline, .. } = fence else {
        return false;
    };
    let own = timeline.as_any().downcast_ref::<MoveFence>();
    own.is_some_and(|own| matches!(*lock(&own.state), State::Failed(_)))
}

impl Timeline for MoveFence {
    fn id(&self) -> TimelineId {
        self.id
    }

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

    /// While the mover is about to submit, this waits for it. A move that itself waits for fences
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
