//! A Vulkan device: its queue, its timeline, and what it has retired.

pub(crate) mod application_sync;
pub(crate) mod exporter;
pub(crate) mod first_release;
pub(crate) mod importer;
pub(crate) mod memory_budget;
pub(crate) mod movable_allocation;
pub(crate) mod movable_images;
pub(crate) mod move_copy;
pub(crate) mod negotiation_parties;
pub(crate) mod open_or_adopt;
pub(crate) mod plain_buffer;
pub(crate) mod retired;
pub(crate) mod shadow_copy;
pub(crate) mod share_plain_buffer;
pub(crate) mod submission;
pub(crate) mod transfer;

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ash::vk;
use dmashare::{FenceSet, FenceStatus, RetireQueue, SubmitError};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::core::commands::CommandCache;
use crate::core::device_core::DeviceCore;
use crate::device::retired::Retired;
use crate::error::DeviceError;
use crate::physical_device::PhysicalDevice;
use crate::physical_device::instance::Instance;
use crate::queue::QueueGuard;
use crate::queue::timeline::{DROP_TIMEOUT, QueueTimeline};

/// The device's descriptor becomes readable this long after something was retired, and again while
/// something is left. Work on a frame takes about as long.
const DISPATCH_AFTER: Duration = Duration::from_millis(4);

struct Shared {
    retired: RetireQueue<Retired>,
    /// For the commands that the library records itself.
    commands: Arc<CommandCache>,
    timer: TimerFd,
    timeline: Arc<QueueTimeline>,
    core: Arc<DeviceCore>,
}

/// An open Vulkan device with one queue. It exports and imports images and buffers, and submits
/// work. Clones share it.
///
/// Dropping the last handle (mappings and exported buffers hold one, too) waits up to ten seconds
/// for the last work, then destroys everything. For retired objects, this includes work of other
/// [`Device`]s that adopted the same `VkDevice`. If the work has not ended by then, the objects it
/// may use are leaked, and an error event says so. A `VkDevice` made by [`Device::open`] is
/// destroyed when its last fence is gone as well. The application destroys the objects it made on
/// the device before it drops its handle.
#[derive(Clone)]
pub struct Device {
    shared: Arc<Shared>,
}

impl Device {
    pub(crate) fn with_core(core: Arc<DeviceCore>) -> Result<Self, DeviceError> {
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK,
        )
        .map_err(|errno| DeviceError::Os {
            operation: "timerfd_create",
            source: errno.into(),
        })?;
        let timeline =
            QueueTimeline::new(core.clone()).map_err(|failure| failure.device(&core.name))?;
        tracing::debug!(device = core.name, "device opened");
        Ok(Self {
            shared: Arc::new(Shared {
                retired: RetireQueue::new(),
                commands: Arc::new(CommandCache::new(core.clone())),
                timer,
                timeline: Arc::new(timeline),
                core,
            }),
        })
    }

    pub(crate) fn core(&self) -> &Arc<DeviceCore> {
        &self.shared.core
    }

    pub(crate) fn timeline(&self) -> &Arc<QueueTimeline> {
        &self.shared.timeline
    }

    pub(crate) fn commands(&self) -> &Arc<CommandCache> {
        &self.shared.commands
    }

    /// The `VkDevice`, for the application's own objects and commands.
    pub fn raw(&self) -> &ash::Device {
        &self.core().raw
    }

    /// The instance the device belongs to.
    pub fn instance(&self) -> &Instance {
        &self.core().instance
    }

    /// The physical device.
    pub fn physical_device(&self) -> &PhysicalDevice {
        &self.core().physical
    }

    /// The queue family of the device's queue, for command pools.
    pub fn queue_family(&self) -> u32 {
        self.core().queue_family
    }

    /// Locks the queue for presentation and for submissions that touch no shared buffer.
    ///
    /// # Errors
    /// - [`SubmitError::Device`]: this thread already holds the queue, through another guard or an
    ///   open [`Submission`](crate::Submission).
    /// - [`SubmitError::WouldDeadlock`]: this thread has an open submission of another device or
    ///   display, or is in an invalidate callback.
    pub fn queue(&self) -> Result<QueueGuard, SubmitError> {
        let lock = self.timeline().lock_queue_to_submit(&[])?;
        Ok(QueueGuard::new(self.core().queue, lock))
    }

    /// How many bytes of pixels this library has copied on this device, through
    /// [`Transfer`](crate::Transfer) and for shadows ([`dmashare::route`]).
    pub fn bytes_copied(&self) -> u64 {
        self.core().bytes_copied.load(Ordering::Relaxed)
    }

    /// Destroys retired objects whose work is over, and returns how many there were. Call it when
    /// the descriptor ([`AsFd`]) is readable, or once a frame. It does not block, except to wait
    /// until a lost device has stopped its work. If it cannot know that, because this thread holds
    /// the queue, it destroys nothing.
    pub fn dispatch(&self) -> usize {
        let shared = &*self.shared;
        shared.timeline.recycle();
        // The fences of a lost device are over, but its work may still run.
        let has_let_go =
            !shared.core.is_lost() || shared.retired.is_empty() || shared.core.wait_queue_idle();
        let collected = if has_let_go {
            shared.retired.collect(drop)
        } else {
            0
        };
        // Unset first: an object retired by another thread after this check arms the timer again.
        let mut timer = shared.timer.unset();
        if !shared.retired.is_empty() {
            timer = shared.arm();
        }
        if let Err(errno) = timer {
            tracing::warn!(%errno, "timerfd_settime");
        }
        collected
    }

    /// How many retired objects are waiting for their work.
    pub fn retired(&self) -> usize {
        self.shared.retired.len()
    }

    pub(crate) fn retire_object(&self, object: Retired, after: FenceSet) {
        // The fences of a lost device are over before its work has stopped. `dispatch` waits for
        // that.
        if after.status() == FenceStatus::Signalled && !self.core().is_lost() {
            drop(object);
            return;
        }
        self.shared.retired.push(object, after);
        if let Err(errno) = self.shared.arm() {
            tracing::warn!(%errno, "timerfd_settime");
        }
    }

    /// Whether the device was lost. Its fences have then ended in an error, and no more objects or
    /// submissions can be made.
    pub fn is_lost(&self) -> bool {
        self.core().is_lost()
    }

    /// Tells the library that a Vulkan command of the application returned `ERROR_DEVICE_LOST`.
    pub fn mark_lost(&self) {
        self.core().mark_lost();
    }

    fn check_not_lost<E>(&self, error: impl FnOnce(&str, vk::Result) -> E) -> Result<(), E> {
        if self.is_lost() {
            return Err(error(&self.core().name, vk::Result::ERROR_DEVICE_LOST));
        }
        Ok(())
    }
}

impl Shared {
    fn arm(&self) -> nix::Result<()> {
        self.timer.set(
            Expiration::OneShot(DISPATCH_AFTER.into()),
            TimerSetTimeFlags::empty(),
        )
    }

    /// Whether all work on this `VkDevice` that the object was retired after is over. Waits until
    /// `deadline` for other timelines of the same `VkDevice`; this one has already finished.
    fn neighbours_let_go(&self, after: &FenceSet, deadline: Instant) -> bool {
        after.iter().all(|fence| {
            if let Some((timeline, point)) = fence.point_on::<QueueTimeline>()
                && !std::ptr::eq(timeline, &*self.timeline)
                && timeline.core().raw.handle() == self.core.raw.handle()
            {
                let left = deadline.saturating_duration_since(Instant::now());
                return timeline.lets_go(point, left);
            }
            true
        })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let deadline = Instant::now() + DROP_TIMEOUT;
        self.timeline.finish(DROP_TIMEOUT);
        // The pool may hold fences of other timelines of the same `VkDevice`, and theirs may hold
        // this one.
        if !self.core.is_stuck() {
            self.timeline.pool().recycle(u64::MAX);
        }
        for (object, after) in self.retired.drain() {
            // A stuck device destroys nothing, and reports each object.
            if self.core.is_stuck() || self.neighbours_let_go(&after, deadline) {
                drop(object);
            } else {
                tracing::error!(
                    device = self.core.name,
                    ?object,
                    "left behind: an object that another queue's unfinished work may use"
                );
                // The leaked object keeps the device alive, too.
                std::mem::forget(object);
            }
        }
        tracing::debug!(device = self.core.name, "device closed");
    }
}

impl AsFd for Device {
    /// A timer that becomes readable some milliseconds after something was retired, and again while
    /// something is left. Call [`Device::dispatch`] then, which also resets it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.timer.as_fd()
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("name", &self.core().name)
            .field("owned", &self.core().owned)
            .field("lost", &self.is_lost())
            .finish_non_exhaustive()
    }
}
