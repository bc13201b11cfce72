//! A fence that does not stay pending for ever.

use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::fence::error::FenceError;
use crate::fence::status::FenceStatus;
use crate::fence::sync_file::SyncFile;
use crate::fence::{Fence, Timeline, TimelineId};

/// The only point.
const POINT: u64 = 1;

/// Neither has happened, as far as anyone has looked.
const OPEN: u8 = 0;
const SIGNALLED: u8 = 1;
const EXPIRED: u8 = 2;

/// A timeline with one point, which is that of another fence until a deadline, and has failed from
/// then on. What it has come to does not change any more, like a kernel's fence.
#[derive(Debug)]
struct DeadlineFence {
    id: TimelineId,
    fence: Fence,
    deadline: Instant,
    outcome: AtomicU8,
}

impl Fence {
    /// The same fence, but one that ends in an error ([`FenceError::Expired`], `ETIMEDOUT`) when it has
    /// not signalled within `time` from now: for a producer that is not trusted to. The original
    /// fence knows nothing of it.
    ///
    /// It is checked when a caller asks or waits; no thread and no timer runs. A sync_file of it is
    /// one of the original fence, and does not expire: the kernel has no such fence.
    ///
    /// Allocates once. Asking for its status also reads the clock.
    #[must_use]
    pub fn with_deadline(&self, time: Duration) -> Self {
        let now = Instant::now();
        // A century is for ever.
        let century = Duration::from_secs(3_155_760_000);
        Self::Point {
            timeline: Arc::new(DeadlineFence {
                id: TimelineId::unique(),
                fence: self.clone(),
                deadline: now + time.min(century),
                outcome: AtomicU8::new(OPEN),
            }),
            point: POINT,
        }
    }
}

impl DeadlineFence {
    /// The first who looks after it is over decides what it has come to.
    fn settle(&self, outcome: u8) -> u8 {
        let settled =
            self.outcome
                .compare_exchange(OPEN, outcome, Ordering::AcqRel, Ordering::Acquire);
        match settled {
            Ok(_) => outcome,
            Err(before) => before,
        }
    }

    fn expired(&self) -> FenceError {
        FenceError::Expired {
            producer: self.fence.producer().to_owned(),
        }
    }
}

impl Timeline for DeadlineFence {
    fn id(&self) -> TimelineId {
        self.id
    }

    fn producer(&self) -> &str {
        self.fence.producer()
    }

    fn status(&self, _point: u64) -> FenceStatus {
        let outcome = match self.outcome.load(Ordering::Acquire) {
            OPEN => match self.fence.status() {
                FenceStatus::Pending if Instant::now() < self.deadline => {
                    return FenceStatus::Pending;
                }
                FenceStatus::Pending => self.settle(EXPIRED),
                FenceStatus::Signalled => self.settle(SIGNALLED),
                failed @ FenceStatus::Failed(_) => return failed,
            },
            outcome => outcome,
        };
        match outcome {
            EXPIRED => FenceStatus::Failed(Errno::ETIMEDOUT),
            _ => FenceStatus::Signalled,
        }
    }

    fn wait(&self, point: u64, timeout: Duration) -> Result<(), FenceError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if self.status(point) == FenceStatus::Pending {
            match self.fence.wait(timeout.min(left)) {
                Err(FenceError::Timeout { .. }) if timeout < left => {
                    return Err(FenceError::Timeout {
                        producer: self.fence.producer().to_owned(),
                    });
                }
                Ok(()) | Err(FenceError::Timeout { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        match self.status(point) {
            FenceStatus::Signalled => Ok(()),
            FenceStatus::Failed(_) if self.outcome.load(Ordering::Acquire) == EXPIRED => {
                Err(self.expired())
            }
            FenceStatus::Failed(errno) => Err(FenceError::Failed {
                producer: self.fence.producer().to_owned(),
                source: errno.into(),
            }),
            // The clock of the wait was a moment ahead of this one.
            FenceStatus::Pending => Err(FenceError::Timeout {
                producer: self.fence.producer().to_owned(),
            }),
        }
    }

    fn export_sync_file(&self, point: u64) -> Result<SyncFile, FenceError> {
        match self.status(point) {
            FenceStatus::Failed(_) if self.outcome.load(Ordering::Acquire) == EXPIRED => {
                Err(self.expired())
            }
            _ => self.fence.export_sync_file(),
        }
    }

    fn pollable(&self, _point: u64) -> Result<OwnedFd, FenceError> {
        self.fence.pollable()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
