//! The timeline of a queue: one Vulkan timeline semaphore, whose value grows with every submission.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ash::vk;
use dmashare::{Fence, FenceError, FenceStatus, MappingUse, Submission, SubmitError, TimelineId};
use nix::errno::Errno;

use crate::core::device_core::DeviceCore;
use crate::core::queue_lock::{QueueHeld, QueueLockGuard};
use crate::failure::Failure;
use crate::queue::failed_inputs::Inputs;
use crate::queue::semaphore_pool::SemaphorePool;
use crate::queue::submit_failure::SubmitFailure;

/// How long a drop waits for the device's last work before it leaves everything behind.
pub(crate) const DROP_TIMEOUT: Duration = Duration::from_secs(10);

/// A wait asks again whether the device was lost after this long.
const WAIT_SLICE: Duration = Duration::from_millis(200);

/// The fences of one queue. Point `n` is signalled by the submission that got it.
///
/// The semaphore's value must grow in submission order
/// (VUID-VkSubmitInfo2-semaphore-03882, -03883), whatever the order in which threads prepare their
/// work. So a point is given out only under the queue's lock, and the lock is kept until the work
/// was submitted or given up. A point that was given up is never used again: a later one passes it.
pub(crate) struct QueueTimeline {
    pub(super) id: TimelineId,
    core: Arc<DeviceCore>,
    semaphore: vk::Semaphore,
    pool: Arc<SemaphorePool>,
    /// The last point that was given out.
    assigned: AtomicU64,
    /// The last point whose signal was submitted.
    submitted: AtomicU64,
    /// The highest value that was seen.
    reached: AtomicU64,
    /// What the work of a point was made of.
    pub(crate) inputs: Inputs,
}

impl QueueTimeline {
    pub(crate) fn new(core: Arc<DeviceCore>) -> Result<Self, Failure> {
        let mut kind = vk::SemaphoreTypeCreateInfo::default()
            .semaphore_type(vk::SemaphoreType::TIMELINE)
            .initial_value(0);
        let info = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
        // SAFETY: the device is alive and its timelineSemaphore feature is enabled.
        let result = unsafe { core.raw.create_semaphore(&info, None) };
        let semaphore = core.check("vkCreateSemaphore", result)?;
        Ok(Self {
            id: TimelineId::unique(),
            pool: Arc::new(SemaphorePool::new(core.clone())),
            core,
            semaphore,
            assigned: AtomicU64::new(0),
            submitted: AtomicU64::new(0),
            reached: AtomicU64::new(0),
            inputs: Inputs::default(),
        })
    }

    pub(crate) fn core(&self) -> &Arc<DeviceCore> {
        &self.core
    }

    pub(crate) fn pool(&self) -> &Arc<SemaphorePool> {
        &self.pool
    }

    pub(crate) fn lock_queue(&self) -> Result<QueueLockGuard, QueueHeld> {
        self.core.queue_lock.lock()
    }

    /// The queue, for work on these mappings. A thread that holds reservations of another submission is
    /// refused instead of waiting: who holds the queue may be waiting for one of those.
    pub(crate) fn lock_queue_to_submit(
        &self,
        uses: &[MappingUse],
    ) -> Result<QueueLockGuard, SubmitError> {
        if !self.core.queue_lock.is_held_here() {
            Submission::may_begin(uses)?;
        }
        self.lock_queue().map_err(|held| SubmitError::Device {
            operation: "locking the queue",
            source: held.into(),
        })
    }

    /// The next point, for work that is submitted or given up before the guard is dropped.
    pub(crate) fn next_point(&self, _queue: &QueueLockGuard) -> u64 {
        self.assigned.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The work that signals `point` was submitted.
    pub(crate) fn submitted(&self, point: u64) {
        self.submitted.fetch_max(point, Ordering::AcqRel);
    }

    /// The last point whose signal was submitted.
    pub(crate) fn last_submitted(&self) -> u64 {
        self.submitted.load(Ordering::Acquire)
    }

    /// What a submission puts among its waits or signals for a point.
    pub(crate) fn submit_info(&self, point: u64) -> vk::SemaphoreSubmitInfo<'static> {
        vk::SemaphoreSubmitInfo::default()
            .semaphore(self.semaphore)
            .value(point)
            .stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS)
    }

    pub(crate) fn fence(self: &Arc<Self>, point: u64) -> Fence {
        Fence::Point {
            timeline: self.clone(),
            point,
        }
    }

    /// The value that the queue has reached, as far as the driver tells.
    fn counter(&self) -> Result<u64, Failure> {
        // SAFETY: a timeline semaphore of this device.
        let result = unsafe { self.core.raw.get_semaphore_counter_value(self.semaphore) };
        let value = self.core.check("vkGetSemaphoreCounterValue", result)?;
        // A lost device may answer anything.
        if !self.core.is_lost() {
            self.reached.fetch_max(value, Ordering::AcqRel);
        }
        Ok(self.reached.load(Ordering::Acquire))
    }

    /// What a point that was reached has come to.
    pub(super) fn outcome(&self, point: u64) -> FenceStatus {
        let reached = self.reached.load(Ordering::Acquire);
        let failure = self.inputs.failure(point, reached);
        failure.map_or(FenceStatus::Signalled, FenceStatus::Failed)
    }

    /// Whether a point was reached, and what it has come to. A lost device reaches none any more.
    pub(super) fn point_status(&self, point: u64) -> FenceStatus {
        if self.reached.load(Ordering::Acquire) >= point {
            return self.outcome(point);
        }
        if !self.core.is_lost() {
            match self.counter() {
                Ok(reached) if reached >= point => return self.outcome(point),
                _ if !self.core.is_lost() => return FenceStatus::Pending,
                _ => {}
            }
        }
        FenceStatus::Failed(Errno::ENODEV)
    }

    /// Frees the semaphores of work that is over. Does not block.
    pub(crate) fn recycle(&self) {
        if self.pool.is_holding()
            && let Ok(reached) = self.counter()
        {
            self.pool.recycle(reached);
        }
    }

    /// Makes the queue pass points that were given up, when much is kept for them: an application
    /// that begins submissions and drops them does not gather semaphores without end.
    pub(crate) fn pass_given_up_points(&self) {
        if self.pool.is_crowded(self.last_submitted())
            && let Err(error) = self.submit(&[])
        {
            tracing::debug!(device = self.core.name, %error, "points not passed");
        }
    }

    /// Submits command buffers that touch no shared buffer, and returns their point.
    pub(crate) fn submit(&self, commands: &[vk::CommandBuffer]) -> Result<u64, SubmitFailure> {
        let queue = self.lock_queue()?;
        Ok(self.submit_locked(&queue, commands)?)
    }

    /// The same with the queue's lock held.
    pub(crate) fn submit_locked(
        &self,
        queue: &QueueLockGuard,
        commands: &[vk::CommandBuffer],
    ) -> Result<u64, Failure> {
        let point = self.next_point(queue);
        let infos: Vec<_> = commands
            .iter()
            .map(|commands| vk::CommandBufferSubmitInfo::default().command_buffer(*commands))
            .collect();
        let signals = [self.submit_info(point)];
        let submit = vk::SubmitInfo2::default()
            .command_buffer_infos(&infos)
            .signal_semaphore_infos(&signals);
        self.queue_submit(queue, &submit)?;
        self.submitted(point);
        Ok(point)
    }

    pub(crate) fn queue_submit(
        &self,
        _queue: &QueueLockGuard,
        submit: &vk::SubmitInfo2<'_>,
    ) -> Result<(), Failure> {
        let submits = std::slice::from_ref(submit);
        // SAFETY: the queue's lock is held; the callers give command buffers that are executable
        // and semaphores of this device.
        let result = unsafe {
            self.core
                .raw
                .queue_submit2(self.core.queue, submits, vk::Fence::null())
        };
        self.core.check("vkQueueSubmit2", result)
    }

    /// Waits for the last point that was submitted, or for a lost device to let go. When that does
    /// not happen in `timeout`, the device is marked as stuck and nothing of it is destroyed any
    /// more.
    pub(crate) fn finish(&self, timeout: Duration) {
        if !self.lets_go(self.last_submitted(), timeout) {
            self.core.stuck.store(true, Ordering::Release);
        }
    }

    /// Waits until the work up to `point` uses nothing any more, also that of a lost device, and
    /// tells whether that was so within `timeout`.
    pub(crate) fn lets_go(&self, point: u64, timeout: Duration) -> bool {
        match self.wait_reached(point, timeout) {
            Ok(()) => true,
            // The wait itself failed, or the device is lost: either way the driver can say when it
            // has let go.
            Err(FenceError::Device { .. }) if self.core.wait_queue_idle() => true,
            Err(error) => {
                tracing::error!(device = self.core.name, %error, "the last work did not end");
                false
            }
        }
    }

    /// Waits until the queue has reached `point`, whatever its work has come to.
    pub(super) fn wait_reached(&self, point: u64, timeout: Duration) -> Result<(), FenceError> {
        const OPERATION: &str = "vkWaitSemaphores";
        // Counted in slices rather than by the clock: no system call besides the driver's own.
        let mut left = timeout;
        let semaphores = [self.semaphore];
        let points = [point];
        let info = vk::SemaphoreWaitInfo::default()
            .semaphores(&semaphores)
            .values(&points);
        loop {
            if self.reached.load(Ordering::Acquire) >= point {
                return Ok(());
            }
            if self.core.is_lost() {
                return Err(self.lost(OPERATION));
            }
            let slice = left.min(WAIT_SLICE);
            let nanoseconds = u64::try_from(slice.as_nanos()).unwrap_or(u64::MAX);
            // SAFETY: a timeline semaphore of this device; `info` outlives the call.
            match unsafe { self.core.raw.wait_semaphores(&info, nanoseconds) } {
                Ok(()) => {
                    self.reached.fetch_max(point, Ordering::AcqRel);
                }
                Err(vk::Result::TIMEOUT) => {
                    left = left.saturating_sub(slice);
                    if left.is_zero() {
                        return Err(FenceError::Timeout {
                            producer: self.core.name.clone(),
                        });
                    }
                }
                Err(result) => {
                    return self
                        .core
                        .check(OPERATION, Err(result))
                        .map_err(|failure| failure.fence(&self.core.name));
                }
            }
        }
    }

    pub(super) fn lost(&self, operation: &'static str) -> FenceError {
        Failure {
            operation,
            source: vk::Result::ERROR_DEVICE_LOST,
        }
        .fence(&self.core.name)
    }
}

impl Drop for QueueTimeline {
    fn drop(&mut self) {
        self.finish(DROP_TIMEOUT);
        if self.core.may_destroy() {
            // SAFETY: the last work that signals it is over (`finish`), and no other queue waits for
            // it: whoever does holds a fence of this timeline.
            unsafe { self.core.raw.destroy_semaphore(self.semaphore, None) };
        }
    }
}

impl fmt::Debug for QueueTimeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueTimeline")
            .field("device", &self.core.name)
            .field("submitted", &self.last_submitted())
            .finish_non_exhaustive()
    }
}
