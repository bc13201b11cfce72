//! A timeline that the program itself signals.

use std::any::Any;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::fence::error::FenceError;
use crate::fence::status::FenceStatus;
use crate::fence::sync_file::SyncFile;
use crate::fence::{Fence, Timeline, eventfd};
use crate::locks::{AtomicU64, Condvar, Mutex, MutexGuard, Ordering, lock};

/// So many sockets are kept without a look at them.
const FEW: usize = 8;

/// Whether the other end of a socket is closed.
fn is_abandoned(socket: &UnixStream) -> bool {
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::empty())];
    let polled = poll(&mut fds, PollTimeout::ZERO);
    let events = fds[0].revents().unwrap_or(PollFlags::empty());
    polled.is_ok() && events.contains(PollFlags::POLLHUP)
}

#[derive(Debug)]
struct State {
    signalled: u64,
    /// Set when the producer is dropped. Points beyond `signalled` never signal then.
    gone: bool,
    /// Number of threads that wait. A wake-up is a system call, and is skipped for 0.
    waiting: usize,
    /// Sockets to shut down when their point is over: the other end is readable then.
    pollable: Vec<(u64, UnixStream)>,
    /// How many there may be before those are looked for whose other end is closed.
    most_pollable: usize,
}

#[derive(Debug)]
struct Shared {
    producer: String,
    /// A copy of `signalled` that can be read without the lock.
    reached: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

/// The producer's end of a timeline in software, such as a display's flips or a worker thread's copies.
///
/// Its fences have no sync_file, because user space cannot make one that it signals itself (except in a
/// test kernel). A consumer that needs a sync_file waits first, on the CPU or for [`Fence::pollable`].
/// When the producer is dropped, its pending fences fail with [`FenceError::ProducerGone`], so that no
/// thread waits forever.
#[derive(Debug)]
pub struct SoftwareTimeline {
    shared: Arc<Shared>,
}

impl SoftwareTimeline {
    /// Makes a timeline at 0, whose fences name `producer` in reports.
    pub fn new(producer: impl Into<String>) -> Self {
        Self {
            shared: Arc::new(Shared {
                producer: producer.into(),
                reached: AtomicU64::new(0),
                state: Mutex::new(State {
                    signalled: 0,
                    gone: false,
                    waiting: 0,
                    pollable: Vec::new(),
                    most_pollable: FEW,
                }),
                changed: Condvar::new(),
            }),
        }
    }

    /// Returns the fence that signals when the timeline reaches `point`.
    pub fn fence(&self, point: u64) -> Fence {
        Fence::Point {
            timeline: self.shared.clone(),
            point,
        }
    }

    /// Like [`fence`](Self::fence), with a deadline: if the timeline does not reach the point within
    /// `time` from now, the fence fails with [`FenceError::Expired`]. A worker that hangs then does not
    /// block its waiters forever. See [`Fence::with_deadline`].
    pub fn fence_within(&self, point: u64, time: Duration) -> Fence {
        self.fence(point).with_deadline(time)
    }

    /// Signals every point up to `point`. Does nothing if that was signalled before.
    pub fn signal(&self, point: u64) {
        let mut state = lock(&self.shared.state);
        state.signalled = state.signalled.max(point);
        self.shared
            .reached
            .store(state.signalled, Ordering::Release);
        self.shared.wake(state);
    }

    /// The highest point that was signalled.
    pub fn signalled(&self) -> u64 {
        lock(&self.shared.state).signalled
    }
}

impl Drop for SoftwareTimeline {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.gone = true;
        self.shared.wake(state);
    }
}

impl Shared {
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let is_awaited = state.waiting > 0;
        let (signalled, gone) = (state.signalled, state.gone);
        let mut over = Vec::new();
        let mut index = 0;
        while let Some((point, _)) = state.pollable.get(index) {
            if gone || *point <= signalled {
                over.push(state.pollable.swap_remove(index).1);
            } else {
                index += 1;
            }
        }
        drop(state);
        for socket in over {
            // A child process may have inherited it, so closing it is not enough. If the other end is
            // closed, there is nothing to do.
            let _ = socket.shutdown(Shutdown::Both);
        }
        if is_awaited {
            self.changed.notify_all();
        }
    }
}

impl Timeline for Shared {
    fn producer(&self) -> &str {
        &self.producer
    }

    fn status(&self, point: u64) -> FenceStatus {
        if self.reached.load(Ordering::Acquire) >= point {
            return FenceStatus::Signalled;
        }
        let state = lock(&self.state);
        if state.signalled >= point {
            FenceStatus::Signalled
        } else if state.gone {
            FenceStatus::Failed(Errno::EOWNERDEAD)
        } else {
            FenceStatus::Pending
        }
    }

    fn wait(&self, point: u64, timeout: Duration) -> Result<(), FenceError> {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = lock(&self.state);
        loop {
            if state.signalled >= point {
                return Ok(());
            }
            if state.gone {
                return Err(FenceError::ProducerGone {
                    producer: self.producer.clone(),
                });
            }
            let left = match deadline {
                Some(deadline) => deadline.saturating_duration_since(Instant::now()),
                None => Duration::from_secs(3600),
            };
            if left.is_zero() {
                return Err(FenceError::Timeout {
                    producer: self.producer.clone(),
                });
            }
            state.waiting += 1;
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .0;
            state.waiting -= 1;
        }
    }

    fn export_sync_file(&self, _point: u64) -> Result<SyncFile, FenceError> {
        Err(FenceError::NoSyncFile {
            producer: self.producer.clone(),
        })
    }

    /// Makes a pair of sockets. The timeline keeps one end until the point is over, or until it finds that
    /// the caller has closed the other: it looks each time that there are twice as many.
    fn pollable(&self, point: u64) -> Result<OwnedFd, FenceError> {
        let (polled, kept) = UnixStream::pair().map_err(|source| FenceError::Os {
            operation: "socketpair",
            source,
        })?;
        let mut state = lock(&self.state);
        if state.signalled >= point || state.gone {
            drop(state);
            return eventfd(1).map(OwnedFd::from);
        }
        state.pollable.push((point, kept));
        if state.pollable.len() >= state.most_pollable {
            state.pollable.retain(|(_, socket)| !is_abandoned(socket));
            state.most_pollable = (2 * state.pollable.len()).max(FEW);
        }
        Ok(polled.into())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
