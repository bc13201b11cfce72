//! Commands that are recorded once and submitted many times.

use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use ash::vk;

use super::Vulkan;

/// A command buffer. It is freed when it is dropped, after the device's queue has come to rest.
pub struct Commands {
    vulkan: Arc<Vulkan>,
    pool: vk::CommandPool,
    buffer: vk::CommandBuffer,
}

impl Commands {
    /// Records what `record` puts in.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn record(vulkan: &Arc<Vulkan>, record: impl FnOnce(&Recording<'_>)) -> Result<Self> {
        let (_, family) = vulkan.queue();
        let create = vk::CommandPoolCreateInfo::default().queue_family_index(family);
        let mut this = Self {
            // SAFETY: the device has a queue of this family.
            pool: unsafe { vulkan.device.create_command_pool(&create, None) }?,
            vulkan: vulkan.clone(),
            buffer: vk::CommandBuffer::null(),
        };
        let allocate = vk::CommandBufferAllocateInfo::default()
            .command_pool(this.pool)
            .level(vk::CommandBufferLevel::PRIMARY)
            .command_buffer_count(1);
        let device = &vulkan.device;
        // SAFETY: the pool is this device's, and used by this thread only.
        let buffers = unsafe { device.allocate_command_buffers(&allocate) }?;
        this.buffer = buffers[0];
        // SAFETY: the buffer is new.
        unsafe {
            device.begin_command_buffer(this.buffer, &vk::CommandBufferBeginInfo::default())
        }?;
        record(&Recording {
            device,
            buffer: this.buffer,
        });
        // SAFETY: begun above.
        unsafe { device.end_command_buffer(this.buffer) }?;
        Ok(this)
    }

    /// The command buffer.
    pub fn raw(&self) -> vk::CommandBuffer {
        self.buffer
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.vulkan.rest();
        // SAFETY: the queue is at rest, so its buffer is not pending.
        unsafe { self.vulkan.device.destroy_command_pool(self.pool, None) };
    }
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commands")
            .field("buffer", &self.buffer)
            .finish_non_exhaustive()
    }
}

/// A command buffer between its begin and its end.
pub struct Recording<'a> {
    /// The device.
    pub device: &'a ash::Device,
    /// The command buffer.
    pub buffer: vk::CommandBuffer,
}

impl Recording<'_> {
    /// A barrier for one image.
    pub fn barrier(&self, barrier: vk::ImageMemoryBarrier2<'_>) {
        let barriers = [barrier];
        let dependency = vk::DependencyInfo::default().image_memory_barriers(&barriers);
        // SAFETY: recording, outside of a rendering; the caller's image is alive.
        unsafe {
            self.device.cmd_pipeline_barrier2(self.buffer, &dependency);
        }
    }
}

impl fmt::Debug for Recording<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording")
            .field("buffer", &self.buffer)
            .finish_non_exhaustive()
    }
}
