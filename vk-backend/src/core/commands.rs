//! Command buffers that are recorded and submitted once, then freed or recorded again.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ash::vk;

use crate::core::device_core::DeviceCore;
use crate::failure::Failure;

/// A command buffer in a pool of its own, in the recording state until [`finish`](Self::finish).
/// The caller that submits it keeps it until the work is over.
pub(crate) struct OneTimeCommands {
    core: Arc<DeviceCore>,
    pool: vk::CommandPool,
    buffer: vk::CommandBuffer,
}

impl OneTimeCommands {
    pub(crate) fn begin(core: &Arc<DeviceCore>) -> Result<Self, Failure> {
        let info = vk::CommandPoolCreateInfo::default()
            .flags(
                vk::CommandPoolCreateFlags::TRANSIENT
                    | vk::CommandPoolCreateFlags::RESET_COMMAND_BUFFER,
            )
            .queue_family_index(core.queue_family);
        // SAFETY: the device is alive and has this queue family.
        let result = unsafe { core.raw.create_command_pool(&info, None) };
        // From here on, dropping `this` destroys the pool and the buffer with it.
        let mut this = Self {
            core: core.clone(),
            pool: core.check("vkCreateCommandPool", result)?,
            buffer: vk::CommandBuffer::null(),
        };
        let info = vk::CommandBufferAllocateInfo::default()
            .command_pool(this.pool)
            .level(vk::CommandBufferLevel::PRIMARY)
            .command_buffer_count(1);
        // SAFETY: the pool is new and is used by this thread only.
        let result = unsafe { core.raw.allocate_command_buffers(&info) };
        this.buffer = core.check("vkAllocateCommandBuffers", result)?[0];
        this.start()?;
        Ok(this)
    }

    /// Calls `vkBeginCommandBuffer`, which resets a buffer that was used before.
    fn start(&self) -> Result<(), Failure> {
        let info = vk::CommandBufferBeginInfo::default()
            .flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        // SAFETY: the buffer is new, or its work is over and its pool allows a reset
        // (VUID-vkBeginCommandBuffer-commandBuffer-00049, -00050).
        let result = unsafe { self.core.raw.begin_command_buffer(self.buffer, &info) };
        self.core.check("vkBeginCommandBuffer", result)
    }

    /// The command buffer, to record into or to submit.
    pub(crate) fn raw(&self) -> vk::CommandBuffer {
        self.buffer
    }

    /// Records image barriers.
    pub(crate) fn image_barriers(&self, barriers: &[vk::ImageMemoryBarrier2<'_>]) {
        let info = vk::DependencyInfo::default().image_memory_barriers(barriers);
        // SAFETY: the buffer is recording; synchronization2 is enabled; the barriers name images of
        // this device that the caller keeps alive.
        unsafe { self.core.raw.cmd_pipeline_barrier2(self.buffer, &info) };
    }

    /// Records a memory barrier between the device and the host.
    pub(crate) fn memory_barrier(&self, barrier: vk::MemoryBarrier2<'_>) {
        let barriers = [barrier];
        let info = vk::DependencyInfo::default().memory_barriers(&barriers);
        // SAFETY: the buffer is recording; synchronization2 is enabled.
        unsafe { self.core.raw.cmd_pipeline_barrier2(self.buffer, &info) };
    }

    /// Ends the recording.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        // SAFETY: the buffer is in the recording state, outside a render pass.
        let result = unsafe { self.core.raw.end_command_buffer(self.buffer) };
        self.core.check("vkEndCommandBuffer", result)
    }
}

impl Drop for OneTimeCommands {
    fn drop(&mut self) {
        if self.core.may_destroy() {
            // SAFETY: the work is over or was never submitted: the submitter keeps this object
            // until then.
            unsafe { self.core.raw.destroy_command_pool(self.pool, None) };
        }
    }
}

impl fmt::Debug for OneTimeCommands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneTimeCommands").finish_non_exhaustive()
    }
}

/// How many free command buffers are kept.
const KEPT: usize = 8;

/// Command buffers whose work is over, to be recorded again.
#[derive(Debug)]
pub(crate) struct CommandCache {
    core: Arc<DeviceCore>,
    free: Mutex<Vec<OneTimeCommands>>,
}

impl CommandCache {
    pub(crate) fn new(core: Arc<DeviceCore>) -> Self {
        Self {
            core,
            free: Mutex::default(),
        }
    }

    /// A command buffer in the recording state.
    pub(crate) fn begin(&self) -> Result<OneTimeCommands, Failure> {
        let known = self
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        match known {
            Some(commands) => {
                commands.start()?;
                Ok(commands)
            }
            None => OneTimeCommands::begin(&self.core),
        }
    }

    /// Keeps a command buffer whose work is over.
    pub(crate) fn put(&self, commands: OneTimeCommands) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT {
            free.push(commands);
        }
    }
}
