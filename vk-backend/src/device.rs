//! A Vulkan device as exporter and importer.

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
use dmashare::{Fence, FenceSet, FenceStatus, RetireQueue, SubmitError};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::core::commands::CommandCache;
use crate::core::device_core::DeviceCore;
use crate::device::retired::Retired;
use crate::error::DeviceError;
use crate::physical_device::PhysicalDevice;
use crate::physical_device::instance::Instance;
use crate::queue::QueueGuard;
use crate::queue::timeline::{DROP_TIMEOUT, QueueTimeline};

/// How long after something was retired the device's descriptor becomes readable, and again while
/// something is left. Work on a frame takes about that long.
const DISPATCH_AFTER: Duration = Duration::from_millis(4);

struct Shared {
    retired: RetireQueue<Retired>,
    /// For what the library records by itself.
    commands: Arc<CommandCache>,
    timer: TimerFd,
    timeline: Arc<QueueTimeline>,
    core: Arc<DeviceCore>,
}

/// An open Vulkan device with one queue: it exports images and buffers, imports them, and submits.
/// Clones share it.
///
/// When the last handle is dropped (mappings and buffers that it exported hold one, too), the last
/// work is waited for, ten seconds at most, and everything is destroyed; for retired objects that
/// includes the work of other [`Device`]s that adopted the same `VkDevice`. If the work has not ended
/// by then, what it may use is left behind, and an error event says so. A `VkDevice` that
/// [`Device::open`] made goes when the last fence of it has gone as well; what the application made
/// on it by itself, it destroys before it drops its handle.
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

    /// The instance.
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

    /// Locks the queue, for submissions that touch no shared buffer and for presentation.
    ///
    /// # Errors
    /// - [`SubmitError::Device`]: this thread holds the queue already, through another guard or an
    ///   open [`Submission`](crate::Submission).
    /// - [`SubmitError::WouldDeadlock`]: this thread has a submission of another device or display, or
    ///   is in an invalidate callback.
    pub fn queue(&self) -> Result<QueueGuard, SubmitError> {
        let lock = self.timeline().lock_queue_to_submit(&[])?;
        Ok(QueueGuard::new(self.core().queue, lock))
    }

    /// How many bytes of pixels this library has copied on this device, by [`Transfer`](crate::Transfer) and for shadows
    /// ([`dmashare::route`]).
    pub fn bytes_copied(&self) -> u64 {
        self.core().bytes_copied.load(Ordering::Relaxed)
    }

    /// Destroys what was retired and whose work is over, and returns how many objects that were.
    /// Call it when the descriptor ([`AsFd`]) is readable, or once a frame. Does not wait, except
    /// for a lost device to let go of its work; while that cannot be known (this thread holds the
    /// queue), nothing is destroyed.
    pub fn dispatch(&self) -> usize {
        let shared = &*self.shared;
        shared.timeline.recycle();
        // A lost device's fences are over, which says nothing about its work.
        let has_let_go =
            !shared.core.is_lost() || shared.retired.is_empty() || shared.core.wait_queue_idle();
        let collected = if has_let_go {
            shared.retired.collect(drop)
        } else {
            0
        };
        // In this order: what another thread retires after the look arms the timer after the unset.
        let mut timer = shared.timer.unset();
        if !shared.retired.is_empty() {
            timer = shared.arm();
        }
        if let Err(errno) = timer {
            tracing::warn!(%errno, "timerfd_settime");
        }
        collected
    }

    /// How many retired objects wait for their work.
    pub fn retired(&self) -> usize {
        self.shared.retired.len()
    }

    pub(crate) fn retire_object(&self, object: Retired, after: FenceSet) {
        // A lost device's fences are over before its work has let go: `dispatch` waits for that.
        if after.status() == FenceStatus::Signalled && !self.core().is_lost() {
            drop(object);
            return;
        }
        self.shared.retired.push(object, after);
        if let Err(errno) = self.shared.arm() {
            tracing::warn!(%errno, "timerfd_settime");
        }
    }

    /// Whether the device was lost. Then its fences have ended in an error, and nothing can be made
    /// or submitted any more.
    pub fn is_lost(&self) -> bool {
        self.core().is_lost()
    }

    /// The application's own Vulkan command returned `ERROR_DEVICE_LOST`.
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

    /// Whether the work on this `VkDevice` that an object was retired after is over, waiting until
    /// `deadline` for what other timelines of it still do. That of its own is over already.
    fn neighbours_let_go(&self, after: &FenceSet, deadline: Instant) -> bool {
        after.iter().all(|fence| {
            if let Fence::Point { timeline, point } = fence
                && let Some(timeline) = timeline.as_any().downcast_ref::<QueueTimeline>()
                && !std::ptr::eq(timeline, &*self.timeline)
                && timeline.core().raw.handle() == self.core.raw.handle()
            {
                let left = deadline.saturating_duration_since(Instant::now());
                return timeline.lets_go(*point, left);
            }
            true
        })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let deadline = Instant::now() + DROP_TIMEOUT;
        self.timeline.finish(DROP_TIMEOUT);
        // Fences of other timelines of the same `VkDevice` may be among what is kept, and theirs may
        // keep this one.
        if !self.core.is_stuck() {
            self.timeline.pool().recycle(u64::MAX);
        }
        for (object, after) in self.retired.drain() {
            // A stuck device destroys nothing, and says so for each object.
            if self.core.is_stuck() || self.neighbours_let_go(&after, deadline) {
                drop(object);
            } else {
                tracing::error!(
                    device = self.core.name,
                    ?object,
                    "left behind: an object that another queue's unfinished work may use"
                );
                // It keeps the device, too.
                std::mem::forget(object);
            }
        }
        tracing::debug!(device = self.core.name, "device closed");
    }
}

impl AsFd for Device {
    /// A timer that becomes readable when something was retired some milliseconds ago, and again
    /// while something is left: then [`Device::dispatch`] is worth a call, which resets it.
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
