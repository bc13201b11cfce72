//! Writebacks that are on their way.

use std::os::fd::AsFd;
use std::sync::Arc;

use dmashare::{Fence, FenceStatus, SyncFile};
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

use crate::card::event::CommitId;
use crate::card::held_buffer::Held;

/// One capture, from the commit that asked for it until its out-fence has signalled.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(crate) serial: u64,
    pub(crate) commit: CommitId,
    /// Keeps the target's framebuffer, and the target where it is.
    pub(crate) target: Held,
    fence: Arc<SyncFile>,
    watched: bool,
}

impl Capture {
    pub(crate) fn new(serial: u64, commit: CommitId, target: Held, fence: SyncFile) -> Self {
        Self {
            serial,
            commit,
            target,
            fence: Arc::new(fence),
            watched: false,
        }
    }

    /// The fence of the target's pixels.
    pub(crate) fn fence(&self) -> Fence {
        Fence::SyncFile(self.fence.clone())
    }

    /// Has `epoll` report the out-fence under `token`. When the kernel has no memory for that, the
    /// capture is asked for its status at each dispatch instead.
    pub(crate) fn watch(&mut self, epoll: &Epoll, token: u64) {
        if !self.watched {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, token);
            match epoll.add(self.fence.as_fd(), event) {
                Ok(()) => self.watched = true,
                Err(errno) => tracing::warn!(%errno, "an out-fence is polled at each dispatch"),
            }
        }
    }

    /// Takes the out-fence out of `epoll`: a signalled one would be reported for ever.
    pub(crate) fn unwatch(&mut self, epoll: &Epoll) {
        if self.watched {
            self.watched = false;
            if let Err(errno) = epoll.delete(self.fence.as_fd()) {
                tracing::error!(%errno, "an out-fence could not be taken out of epoll");
            }
        }
    }

    /// Whether it is over; one that epoll watches is asked only if epoll has reported it.
    pub(crate) fn status(&self, reported: bool) -> FenceStatus {
        if self.watched && !reported {
            return FenceStatus::Pending;
        }
        self.fence().status()
    }
}
