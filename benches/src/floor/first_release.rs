//! A new image leaves layout `UNDEFINED` and is released to everyone.

use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use ash::vk;

use super::{Image, Vulkan};

/// Records and submits the first release of images, one after the other, with commands of its own.
pub(super) struct FirstRelease {
    vulkan: Arc<Vulkan>,
    pool: vk::CommandPool,
    commands: vk::CommandBuffer,
    semaphore: vk::Semaphore,
    point: u64,
}

impl FirstRelease {
    /// # Errors
    /// Vulkan refuses an object.
    pub(super) fn new(vulkan: &Arc<Vulkan>) -> Result<Self> {
        let (_, family) = vulkan.queue();
        let create = vk::CommandPoolCreateInfo::default()
            .flags(vk::CommandPoolCreateFlags::RESET_COMMAND_BUFFER)
            .queue_family_index(family);
        // SAFETY: the device has a queue of this family.
        let pool = unsafe { vulkan.device.create_command_pool(&create, None) }?;
        let mut this = Self {
            vulkan: vulkan.clone(),
            pool,
            commands: vk::CommandBuffer::null(),
            semaphore: vk::Semaphore::null(),
            point: 0,
        };
        let allocate = vk::CommandBufferAllocateInfo::default()
            .command_pool(pool)
            .level(vk::CommandBufferLevel::PRIMARY)
            .command_buffer_count(1);
        // SAFETY: the pool is of this device and used by nobody else.
        this.commands = unsafe { vulkan.device.allocate_command_buffers(&allocate) }?[0];
        this.semaphore = vulkan.timeline_semaphore()?;
        Ok(this)
    }

    /// Releases a new image from `UNDEFINED` to `VK_QUEUE_FAMILY_FOREIGN_EXT` in `GENERAL`. The one
    /// before it was waited for.
    ///
    /// # Errors
    /// Vulkan refuses.
    pub(super) fn release(&mut self, image: &Image) -> Result<()> {
        let device = &self.vulkan.device;
        let (queue, family) = self.vulkan.queue();
        let begin = vk::CommandBufferBeginInfo::default()
            .flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        // SAFETY: its last submission was waited for.
        unsafe { device.begin_command_buffer(self.commands, &begin) }?;
        let barriers = [vk::ImageMemoryBarrier2::default()
            .old_layout(vk::ImageLayout::UNDEFINED)
            .new_layout(vk::ImageLayout::GENERAL)
            .src_queue_family_index(family)
            .dst_queue_family_index(vk::QUEUE_FAMILY_FOREIGN_EXT)
            .image(image.image)
            .subresource_range(vk::ImageSubresourceRange {
                aspect_mask: vk::ImageAspectFlags::COLOR,
                base_mip_level: 0,
                level_count: 1,
                base_array_layer: 0,
                layer_count: 1,
            })];
        let dependency = vk::DependencyInfo::default().image_memory_barriers(&barriers);
        // SAFETY: it is being recorded; the image lives until the work was waited for.
        unsafe { device.cmd_pipeline_barrier2(self.commands, &dependency) };
        // SAFETY: it is being recorded.
        unsafe { device.end_command_buffer(self.commands) }?;
        let commands = [vk::CommandBufferSubmitInfo::default().command_buffer(self.commands)];
        let signals = [vk::SemaphoreSubmitInfo::default()
            .semaphore(self.semaphore)
            .value(self.point + 1)
            .stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS)];
        let submit = [vk::SubmitInfo2::default()
            .command_buffer_infos(&commands)
            .signal_semaphore_infos(&signals)];
        // SAFETY: nobody else uses the queue meanwhile: everything is on one thread.
        unsafe { device.queue_submit2(queue, &submit, vk::Fence::null()) }?;
        self.point += 1;
        Ok(())
    }

    /// Waits until the last one is done.
    ///
    /// # Errors
    /// Vulkan refuses.
    pub(super) fn wait(&self) -> Result<()> {
        let (semaphores, values) = ([self.semaphore], [self.point]);
        let wait = vk::SemaphoreWaitInfo::default()
            .semaphores(&semaphores)
            .values(&values);
        // SAFETY: the semaphore is of this device, the point was submitted.
        unsafe { self.vulkan.device.wait_semaphores(&wait, u64::MAX) }?;
        Ok(())
    }
}

impl Drop for FirstRelease {
    fn drop(&mut self) {
        // If that fails, the device is lost, and runs nothing any more.
        let _ = self.wait();
        // SAFETY: the last submission was waited for, as were those before it, and the pool's buffer goes with it.
        unsafe { self.vulkan.device.destroy_command_pool(self.pool, None) };
        // SAFETY: as above.
        unsafe { self.vulkan.device.destroy_semaphore(self.semaphore, None) };
    }
}

impl fmt::Debug for FirstRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstRelease")
            .field("point", &self.point)
            .finish_non_exhaustive()
    }
}
