//! Pending writebacks.

use std::os::fd::AsFd;
use std::sync::Arc;

use dmashare::{Fence, FenceStatus, SyncFile};
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

use crate::card::event::CommitId;
use crate::card::held_buffer::Held;

/// One capture, from its commit until its out-fence has signalled.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(crate) serial: u64,
    pub(crate) commit: CommitId,
    /// Keeps the target's framebuffer alive and its memory pinned.
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

    /// The fence that signals when the target's pixels are written.
    pub(crate) fn fence(&self) -> Fence {
        Fence::SyncFile(self.fence.clone())
    }

    /// Adds the out-fence to `epoll` under `token`. If the kernel has no memory for that, each dispatch
    /// polls the fence instead.
    pub(crate) fn watch(&mut self, epoll: &Epoll, token: u64) {
        if !self.watched {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, token);
            match epoll.add(self.fence.as_fd(), event) {
                Ok(()) => self.watched = true,
                Err(errno) => tracing::warn!(%errno, "polling an out-fence at each dispatch"),
            }
        }
    }

    /// Removes the out-fence from `epoll`, which would otherwise report a signalled fence forever.
    pub(crate) fn unwatch(&mut self, epoll: &Epoll) {
        if self.watched {
            self.watched = false;
            if let Err(errno) = epoll.delete(self.fence.as_fd()) {
                tracing::error!(%errno, "failed to remove an out-fence from epoll");
            }
        }
    }

    /// Status of the capture. A fence that epoll watches is queried only if epoll has reported it.
    pub(crate) fn status(&self, reported: bool) -> FenceStatus {
        if self.watched && !reported {
            return FenceStatus::Pending;
        }
        self.fence().status()
    }
}
