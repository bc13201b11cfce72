//! One command buffer with its pool, and the fence of what it was last used for.

use std::time::Duration;

use anyhow::{Context as _, Result};
use dmashare::Fence;
use dmashare_vk::ash::vk;
use dmashare_vk::{Device, Image};

use super::pipeline::{Pipeline, STAGES};

/// A command buffer with a pool of its own, which is reset as a whole.
pub(super) struct Command {
    device: Device,
    pool: vk::CommandPool,
    buffer: vk::CommandBuffer,
    last_use: Option<Fence>,
}

impl Command {
    pub(super) fn new(device: &Device) -> Result<Self> {
        let info = vk::CommandPoolCreateInfo::default()
            .flags(vk::CommandPoolCreateFlags::TRANSIENT)
            .queue_family_index(device.queue_family());
        // SAFETY: the device was made with this queue family.
        let pool = unsafe { device.raw().create_command_pool(&info, None) }
            .context("vkCreateCommandPool failed")?;
        let mut this = Self {
            device: device.clone(),
            pool,
            buffer: vk::CommandBuffer::null(),
            last_use: None,
        };
        let info = vk::CommandBufferAllocateInfo::default()
            .command_pool(pool)
            .command_buffer_count(1);
        // SAFETY: the pool is ours and used by this thread only.
        let buffers = unsafe { device.raw().allocate_command_buffers(&info) }
            .context("vkAllocateCommandBuffers failed")?;
        this.buffer = buffers[0];
        Ok(this)
    }

    /// Whether its last use is over.
    pub(super) fn is_free(&self) -> bool {
        let over = |fence: &Fence| fence.status().is_over();
        self.last_use.as_ref().is_none_or(over)
    }

    pub(super) fn raw(&self) -> vk::CommandBuffer {
        self.buffer
    }

    pub(super) fn submitted(&mut self, fence: Fence) {
        self.last_use = Some(fence);
    }

    /// Records the drawing of one image. The command must be free.
    pub(super) fn record(
        &mut self,
        pipeline: &Pipeline,
        image: &Image,
        immediates: &[u8],
    ) -> Result<()> {
        let device = self.device.raw();
        let extent = vk::Extent2D {
            width: image.extent().width,
            height: image.extent().height,
        };
        let view = image
            .view()
            .context("the image cannot be drawn into: it was made without Usage::RENDER")?;
        // SAFETY: the pool's only buffer is not pending: its last use is over.
        unsafe { device.reset_command_pool(self.pool, vk::CommandPoolResetFlags::empty()) }
            .context("vkResetCommandPool failed")?;
        let begin = vk::CommandBufferBeginInfo::default()
            .flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        // SAFETY: the buffer is in the initial state after the reset.
        unsafe { device.begin_command_buffer(self.buffer, &begin) }
            .context("vkBeginCommandBuffer failed")?;

        let stage = vk::PipelineStageFlags2::COLOR_ATTACHMENT_OUTPUT;
        let access = vk::AccessFlags2::COLOR_ATTACHMENT_WRITE;
        self.barrier(image.acquire(stage, access));

        let area = vk::Rect2D::default().extent(extent);
        // Every pixel is drawn, so what was there does not matter.
        let attachments = [vk::RenderingAttachmentInfo::default()
            .image_view(view)
            .image_layout(vk::ImageLayout::GENERAL)
            .load_op(vk::AttachmentLoadOp::DONT_CARE)
            .store_op(vk::AttachmentStoreOp::STORE)];
        let rendering = vk::RenderingInfo::default()
            .render_area(area)
            .layer_count(1)
            .color_attachments(&attachments);
        // SAFETY: recording, outside of a rendering; the view is alive and of the pipeline's
        // format, its image in layout GENERAL after the barrier.
        unsafe { device.cmd_begin_rendering(self.buffer, &rendering) };
        // SAFETY: recording; a graphics pipeline on a graphics queue family.
        unsafe {
            device.cmd_bind_pipeline(self.buffer, vk::PipelineBindPoint::GRAPHICS, pipeline.raw())
        };
        let viewport = vk::Viewport {
            width: extent.width as f32,
            height: extent.height as f32,
            max_depth: 1.0,
            ..vk::Viewport::default()
        };
        // SAFETY: recording; the extent is that of an image, within the limits of a viewport.
        unsafe { device.cmd_set_viewport(self.buffer, 0, &[viewport]) };
        // SAFETY: recording; the scissor is the image.
        unsafe { device.cmd_set_scissor(self.buffer, 0, &[area]) };
        // SAFETY: recording; the bytes are the layout's whole range, for its stages.
        unsafe { device.cmd_push_constants(self.buffer, pipeline.layout(), STAGES, 0, immediates) };
        // SAFETY: recording, inside of a rendering; pipeline, dynamic state and push constants are
        // set, and the pipeline reads no vertex buffer.
        unsafe { device.cmd_draw(self.buffer, 3, 1, 0, 0) };
        // SAFETY: recording, inside of the rendering that was begun above.
        unsafe { device.cmd_end_rendering(self.buffer) };

        self.barrier(image.release(stage, access));
        // SAFETY: recording, outside of a rendering.
        unsafe { device.end_command_buffer(self.buffer) }.context("vkEndCommandBuffer failed")
    }

    /// Waits for the last use and destroys the buffer. If it is not over by then, the device hangs:
    /// destroying what it may use would be undefined, so the objects stay.
    pub(super) fn finish(self, timeout: Duration) {
        if let Some(fence) = &self.last_use {
            // An error of the wait is no reason to keep anything: only a pending fence is.
            let waited = fence.wait(timeout);
            if !fence.status().is_over() {
                tracing::error!(?waited, "the device hangs: a command buffer is left behind");
                std::mem::forget(self);
            }
        }
    }

    fn barrier(&self, barrier: vk::ImageMemoryBarrier2<'_>) {
        let barriers = [barrier];
        let dependency = vk::DependencyInfo::default().image_memory_barriers(&barriers);
        // SAFETY: recording, outside of a rendering; the barrier names a living image, its present
        // layout and queue families of this device.
        unsafe {
            self.device
                .raw()
                .cmd_pipeline_barrier2(self.buffer, &dependency)
        };
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        // SAFETY: the pool is ours, and its buffer is not pending: it was never submitted, or
        // `finish` saw its fence over.
        unsafe { self.device.raw().destroy_command_pool(self.pool, None) };
    }
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Command")
            .field("buffer", &self.buffer)
            .field("last_use", &self.last_use)
            .finish_non_exhaustive()
    }
}
