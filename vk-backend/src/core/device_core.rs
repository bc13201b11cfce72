//! The `VkDevice`, its queue and its functions, which every object of the device holds.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ash::vk;
use gpu_allocator::vulkan::Allocator;

use crate::core::queue_lock::QueueLock;
use crate::failure::Failure;
use crate::physical_device::PhysicalDevice;
use crate::physical_device::extensions::Functions;
use crate::physical_device::instance::Instance;

/// Whether a binary semaphore or a `VkFence` can be imported from and exported as a sync_file.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SyncFdSupport {
    pub(crate) import: bool,
    pub(crate) export: bool,
}

/// The innermost part of a device. Images, buffers and timelines hold it, so it is dropped last.
pub(crate) struct DeviceCore {
    /// The name in reports: "Vulkan llvmpipe (...)".
    pub(crate) name: String,
    pub(crate) physical: PhysicalDevice,
    pub(crate) raw: ash::Device,
    /// Whether dropping this destroys the `VkDevice`; false for an adopted one.
    pub(crate) owned: bool,
    pub(crate) functions: Functions,
    pub(crate) queue: vk::Queue,
    pub(crate) queue_family: u32,
    pub(crate) queue_lock: QueueLock,
    /// The sync_file support of binary semaphores.
    pub(crate) sync_fd: SyncFdSupport,
    /// Whether the feature `samplerYcbcrConversion` is enabled.
    pub(crate) sampler_ycbcr_conversion: bool,
    /// The sync_file support of `VkFence`s.
    pub(crate) fence_fd: SyncFdSupport,
    pub(crate) lost: AtomicBool,
    /// Set when the last work did not end in time. Nothing it may use is destroyed then.
    pub(crate) stuck: AtomicBool,
    /// For staging memory; created by the first transfer.
    pub(crate) allocator: Mutex<Option<Allocator>>,
    pub(crate) bytes_copied: AtomicU64,
    /// The cached answer of `probe_memory_planes`.
    pub(crate) memory_planes_told_apart: OnceLock<bool>,
    // Last: the instance, and what an adopting application asked to keep alive.
    pub(crate) instance: Instance,
    pub(crate) _keep_alive: Option<Arc<dyn Any + Send + Sync>>,
}

impl DeviceCore {
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    pub(crate) fn mark_lost(&self) {
        if !self.lost.swap(true, Ordering::AcqRel) {
            tracing::error!(device = self.name, "the Vulkan device is lost");
        }
    }

    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Acquire)
    }

    /// Attaches the command's name to a failure, and remembers a lost device.
    pub(crate) fn check<T>(
        &self,
        operation: &'static str,
        result: Result<T, vk::Result>,
    ) -> Result<T, Failure> {
        result.map_err(|source| {
            if source == vk::Result::ERROR_DEVICE_LOST {
                self.mark_lost();
            }
            tracing::debug!(device = self.name, operation, %source, "a Vulkan command failed");
            Failure { operation, source }
        })
    }

    /// The queue family that stands for users outside this device.
    pub(crate) fn foreign_family(&self) -> u32 {
        if self.functions.foreign {
            vk::QUEUE_FAMILY_FOREIGN_EXT
        } else {
            vk::QUEUE_FAMILY_EXTERNAL
        }
    }

    /// Waits until the queue is idle, and returns whether it is. Only for a lost device, for which
    /// the specification guarantees that the call returns in finite time ("Lost Device"), and which
    /// no bounded wait covers.
    pub(crate) fn wait_queue_idle(&self) -> bool {
        let Ok(_guard) = self.queue_lock.lock() else {
            return false;
        };
        // SAFETY: the queue is of this device, and its lock is held.
        match unsafe { self.raw.queue_wait_idle(self.queue) } {
            Ok(()) => true,
            // A lost device executes nothing any more.
            Err(vk::Result::ERROR_DEVICE_LOST) => {
                self.mark_lost();
                true
            }
            Err(source) => {
                tracing::warn!(device = self.name, %source, "vkQueueWaitIdle");
                self.is_lost()
            }
        }
    }

    /// Whether objects may be destroyed; false only after work did not end in time.
    pub(crate) fn may_destroy(&self) -> bool {
        if self.is_stuck() {
            tracing::error!(
                device = self.name,
                "left behind: an object that unfinished work may use"
            );
            return false;
        }
        true
    }
}

impl Drop for DeviceCore {
    fn drop(&mut self) {
        let allocator = self
            .allocator
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if !self.may_destroy() {
            std::mem::forget(allocator);
            // The device stays, so its instance must stay, too.
            std::mem::forget(self.instance.clone());
            return;
        }
        drop(allocator);
        if !self.owned {
            return;
        }
        // Work that the application has submitted on its own must end before the device is destroyed
        // (VUID-vkDestroyDevice-device-05137).
        // SAFETY: no other owner of this device or its queue is left.
        if let Err(source) = unsafe { self.raw.device_wait_idle() } {
            tracing::debug!(device = self.name, %source, "vkDeviceWaitIdle");
        }
        // SAFETY: every object that this library made on the device holds a reference to this one,
        // so all of them are gone; the application destroyed its own objects before it dropped its
        // handle.
        unsafe { self.raw.destroy_device(None) };
        tracing::debug!(device = self.name, "device destroyed");
    }
}

impl fmt::Debug for DeviceCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceCore")
            .field("name", &self.name)
            .field("lost", &self.is_lost())
            .finish_non_exhaustive()
    }
}
