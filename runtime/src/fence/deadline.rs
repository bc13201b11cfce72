//! Fences with a deadline.

use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::fence::error::FenceError;
use crate::fence::status::FenceStatus;
use crate::fence::sync_file::SyncFile;
use crate::fence::{Fence, Timeline, eventfd};

/// The only point of the timeline.
const POINT: u64 = 1;

/// Neither signalled nor expired at the last check.
const OPEN: u8 = 0;
const SIGNALLED: u8 = 1;
const EXPIRED: u8 = 2;

/// A timeline with one point, which follows another fence until a deadline and fails if that has not
/// signalled by then. Once signalled or expired it does not change, like a fence of the kernel.
#[derive(Debug)]
struct DeadlineFence {
    fence: Fence,
    deadline: Instant,
    outcome: AtomicU8,
    /// For polling, once that was asked for.
    watch: OnceLock<Watch>,
}

impl Fence {
    /// Returns a fence that follows this one, but fails ([`FenceError::Expired`], `ETIMEDOUT`) if this
    /// one has not signalled within `time` from now. Use it for a producer that is not trusted to
    /// signal. The original fence does not change. Memory that the work uses is kept until the original
    /// fence is over, however long that takes ([`Fence::is_finished`]).
    ///
    /// The deadline is checked when a caller queries the status or waits; there is no thread or timer. A
    /// sync_file of the new fence is one of the original and does not expire, because the kernel has no
    /// such fence.
    ///
    /// Allocates once. Each status query also reads the clock.
    #[must_use]
    pub fn with_deadline(&self, time: Duration) -> Self {
        let now = Instant::now();
        // An `Instant` may overflow; a century is long enough.
        let century = Duration::from_secs(3_155_760_000);
        Self::Point {
            timeline: Arc::new(DeadlineFence {
                fence: self.clone(),
                deadline: now + time.min(century),
                outcome: AtomicU8::new(OPEN),
                watch: OnceLock::new(),
            }),
            point: POINT,
        }
    }
}

/// A descriptor that becomes readable when one of two others does.
#[derive(Debug)]
struct Watch {
    epoll: Epoll,
    _fence: OwnedFd,
    _timer: TimerFd,
}

impl Watch {
    fn new(fence: OwnedFd, left: Duration) -> nix::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        // A timer of 0 would be off.
        let left = left.max(Duration::from_nanos(1));
        timer.set(Expiration::OneShot(left.into()), TimerSetTimeFlags::empty())?;
        epoll.add(&fence, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        Ok(Self {
            epoll,
            _fence: fence,
            _timer: timer,
        })
    }
}

impl DeadlineFence {
    /// Records the outcome. The first caller that sees one decides it.
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

    /// A producer that is late may still use the memory.
    fn is_finished(&self, _point: u64) -> bool {
        self.fence.is_finished()
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
            // The wait ended slightly before the deadline by this clock.
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

    /// Makes an epoll descriptor of the original fence's descriptor and of a timer. Both stay open as long as
    /// this fence, so keep the fence while the descriptor is polled.
    fn pollable(&self, point: u64) -> Result<OwnedFd, FenceError> {
        if self.status(point).is_over() {
            return eventfd(1).map(OwnedFd::from);
        }
        let watch = match self.watch.get() {
            Some(watch) => watch,
            None => {
                let left = self.deadline.saturating_duration_since(Instant::now());
                let made = Watch::new(self.fence.pollable()?, left);
                let made = made.map_err(|errno| FenceError::Os {
                    operation: "epoll or timerfd",
                    source: errno.into(),
                })?;
                self.watch.get_or_init(|| made)
            }
        };
        let duplicate = watch.epoll.0.try_clone();
        duplicate.map_err(|source| FenceError::Os {
            operation: "fcntl(F_DUPFD_CLOEXEC)",
            source,
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
