//! The device's queue, for the application's own submissions.

pub(crate) mod failed_inputs;
pub(crate) mod foreign_fence;
pub(crate) mod semaphore_pool;
pub(crate) mod submit_failure;
pub(crate) mod timeline;
pub(crate) mod timeline_fence;

use ash::vk;

use crate::core::queue_lock::QueueLockGuard;

/// The device's queue with its lock held, for presentation and for work that touches no shared
/// buffer. Drop it before beginning a [`Submission`](crate::Submission).
#[derive(Debug)]
pub struct QueueGuard {
    raw: vk::Queue,
    _lock: QueueLockGuard,
}

impl QueueGuard {
    pub(crate) fn new(raw: vk::Queue, lock: QueueLockGuard) -> Self {
        Self { raw, _lock: lock }
    }

    /// The queue. No other user of the lock touches it while the guard lives.
    pub fn raw(&self) -> vk::Queue {
        self.raw
    }
}
