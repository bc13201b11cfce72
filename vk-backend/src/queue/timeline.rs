//! The timeline of a queue: a Vulkan timeline semaphore whose value grows with every submission.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ash::vk;
use dmashare::{Fence, FenceError, FenceStatus, MappingUse, Submission, SubmitError};
use nix::errno::Errno;

use crate::core::device_core::DeviceCore;
use crate::core::queue_lock::{QueueHeld, QueueLockGuard};
use crate::failure::Failure;
use crate::queue::failed_inputs::Inputs;
use crate::queue::semaphore_pool::SemaphorePool;
use crate::queue::submit_failure::SubmitFailure;

/// How long a drop waits for the device's last work before it leaks what the work may use.
pub(crate) const DROP_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a wait checks whether the device was lost.
const WAIT_SLICE: Duration = Duration::from_millis(200);

/// The timeline of one queue. Point `n` is signalled by the submission it was assigned to.
///
/// The semaphore's value must grow in submission order (VUID-VkSubmitInfo2-semaphore-03882,
/// -03883), regardless of the order in which threads prepare their work. So a point is assigned
/// only with the queue locked, and the lock is held until the work is submitted or given up. A
/// point that was given up is never reused: a later one passes it.
pub(crate) struct QueueTimeline {
    core: Arc<DeviceCore>,
    semaphore: vk::Semaphore,
    pool: Arc<SemaphorePool>,
    /// The last assigned point.
    assigned: AtomicU64,
    /// The last point whose signal was submitted.
    submitted: AtomicU64,
    /// The highest value seen so far.
    reached: AtomicU64,
    /// The writes that the work of each point waits for.
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

    /// Locks the queue for work on these mappings. A thread that holds the reservations of another
    /// submission gets an error instead of waiting: the holder of the queue may be waiting for one
    /// of them.
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

    /// Assigns the next point, for work that is submitted or given up before the guard is dropped.
    pub(crate) fn next_point(&self, _queue: &QueueLockGuard) -> u64 {
        self.assigned.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Records that the work that signals `point` was submitted.
    pub(crate) fn submitted(&self, point: u64) {
        self.submitted.fetch_max(point, Ordering::AcqRel);
    }

    /// The last point whose signal was submitted.
    pub(crate) fn last_submitted(&self) -> u64 {
        self.submitted.load(Ordering::Acquire)
    }

    /// The wait for a point, or its signal, in a submission.
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

    /// The value the queue has reached, according to the driver.
    fn counter(&self) -> Result<u64, Failure> {
        // SAFETY: a timeline semaphore of this device.
        let result = unsafe { self.core.raw.get_semaphore_counter_value(self.semaphore) };
        let value = self.core.check("vkGetSemaphoreCounterValue", result)?;
        // A lost device may return any value.
        if !self.core.is_lost() {
            self.reached.fetch_max(value, Ordering::AcqRel);
        }
        Ok(self.reached.load(Ordering::Acquire))
    }

    /// The result of a point that was reached.
    pub(super) fn outcome(&self, point: u64) -> FenceStatus {
        let reached = self.reached.load(Ordering::Acquire);
        let failure = self.inputs.failure(point, reached);
        failure.map_or(FenceStatus::Signalled, FenceStatus::Failed)
    }

    /// The status of a point. On a lost device, a point that was not reached has failed.
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

    /// Frees the semaphores of finished work. Does not block.
    pub(crate) fn recycle(&self) {
        if self.pool.is_holding()
            && let Ok(reached) = self.counter()
        {
            self.pool.recycle(reached);
        }
    }

    /// Makes the queue pass points that were given up if many semaphores are held for them, so that
    /// an application that begins submissions and drops them does not accumulate them.
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

    /// The same, with the queue already locked.
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
        // SAFETY: the queue's lock is held; the callers pass executable command buffers and
        // semaphores of this device.
        let result = unsafe {
            self.core
                .raw
                .queue_submit2(self.core.queue, submits, vk::Fence::null())
        };
        self.core.check("vkQueueSubmit2", result)
    }

    /// Waits for the last submitted point, or for a lost device to stop. If that takes longer than
    /// `timeout`, marks the device as stuck, and nothing of it is destroyed any more.
    pub(crate) fn finish(&self, timeout: Duration) {
        if !self.lets_go(self.last_submitted(), timeout) {
            self.core.stuck.store(true, Ordering::Release);
        }
    }

    /// Waits until the work up to `point` no longer uses anything, on a lost device, too, and
    /// returns whether that happened within `timeout`.
    pub(crate) fn lets_go(&self, point: u64, timeout: Duration) -> bool {
        match self.wait_reached(point, timeout) {
            Ok(()) => true,
            // The wait failed or the device is lost; in both cases the driver can tell when the
            // queue is idle.
            Err(FenceError::Device { .. }) if self.core.wait_queue_idle() => true,
            Err(error) => {
                tracing::error!(device = self.core.name, %error, "the last work did not end");
                false
            }
        }
    }

    /// Waits until the queue has reached `point`, whether its work failed or not.
    pub(super) fn wait_reached(&self, point: u64, timeout: Duration) -> Result<(), FenceError> {
        const OPERATION: &str = "vkWaitSemaphores";
        // Count slices instead of reading the clock: no system call besides the driver's own.
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
            // SAFETY: the last work that signals it is over (`finish`), and no other queue waits
            // for it: a waiter holds a fence of this timeline.
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
