//! Plain `VkBuffer`s in dma-buf memory.

use std::fmt;
use std::sync::Arc;

use ash::vk;
use dmashare::DmaBufMemory;

use crate::core::barrier::{Side, acquire_buffer, release_buffer};
use crate::core::device_core::DeviceCore;
use crate::failure::Failure;
use crate::image::device_memory::DeviceMemory;

/// A `VkBuffer` whose memory is a dma-buf, exported by this device or imported into it.
///
/// It has no reservation: the application orders its uses. Dropping it destroys the buffer at once,
/// so drop it only when no submitted work uses it any more, or give it to
/// [`Device::retire_buffer`](crate::Device::retire_buffer) with the fences of that work.
pub struct PlainBuffer {
    core: Arc<DeviceCore>,
    raw: vk::Buffer,
    size: u64,
    pub(super) dmabuf: Option<DmaBufMemory>,
    // Dropped after `Drop::drop` has destroyed the buffer.
    memory: Option<DeviceMemory>,
}

impl PlainBuffer {
    pub(super) fn create(
        core: &Arc<DeviceCore>,
        size: u64,
        usage: vk::BufferUsageFlags,
    ) -> Result<Self, Failure> {
        let mut external = vk::ExternalMemoryBufferCreateInfo::default()
            .handle_types(vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT);
        let info = vk::BufferCreateInfo::default()
            .size(size)
            .usage(usage)
            .sharing_mode(vk::SharingMode::EXCLUSIVE)
            .push_next(&mut external);
        // SAFETY: the device is alive and supports such buffers; size and usage are not empty.
        let result = unsafe { core.raw.create_buffer(&info, None) };
        Ok(Self {
            core: core.clone(),
            raw: core.check("vkCreateBuffer", result)?,
            size,
            dmabuf: None,
            memory: None,
        })
    }

    pub(super) fn requirements(&self) -> vk::MemoryRequirements {
        let info = vk::BufferMemoryRequirementsInfo2::default().buffer(self.raw);
        let mut requirements = vk::MemoryRequirements2::default();
        // SAFETY: the buffer is alive.
        unsafe {
            self.core
                .raw
                .get_buffer_memory_requirements2(&info, &mut requirements);
        }
        requirements.memory_requirements
    }

    pub(super) fn bind(&mut self, memory: DeviceMemory) -> Result<(), Failure> {
        let raw = self.memory.insert(memory).raw();
        // SAFETY: the memory is dedicated to this buffer, which has none yet.
        let result = unsafe { self.core.raw.bind_buffer_memory(self.raw, raw, 0) };
        self.core.check("vkBindBufferMemory", result)
    }

    /// The `VkBuffer`, which this library destroys.
    pub fn raw(&self) -> vk::Buffer {
        self.raw
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The dma-buf that holds it.
    pub fn memory(&self) -> &DmaBufMemory {
        match &self.dmabuf {
            Some(dmabuf) => dmabuf,
            // Both constructors set it before they return the buffer.
            None => unreachable!("a finished plain buffer has its dma-buf"),
        }
    }

    fn side(&self, stage: vk::PipelineStageFlags2, access: vk::AccessFlags2) -> Side {
        Side {
            family: self.core.queue_family,
            stage,
            access,
        }
    }

    /// The barrier with which a command buffer acquires the buffer before the given stages access
    /// it.
    pub fn acquire(
        &self,
        dst_stage: vk::PipelineStageFlags2,
        dst_access: vk::AccessFlags2,
    ) -> vk::BufferMemoryBarrier2<'static> {
        let foreign = self.core.foreign_family();
        acquire_buffer(self.raw, foreign, self.side(dst_stage, dst_access))
    }

    /// The barrier with which a command buffer releases the buffer after the given stages have
    /// accessed it.
    pub fn release(
        &self,
        src_stage: vk::PipelineStageFlags2,
        src_access: vk::AccessFlags2,
    ) -> vk::BufferMemoryBarrier2<'static> {
        let foreign = self.core.foreign_family();
        release_buffer(self.raw, foreign, self.side(src_stage, src_access))
    }
}

impl Drop for PlainBuffer {
    fn drop(&mut self) {
        if self.core.may_destroy() {
            // SAFETY: the owner drops it only when no submitted work uses it any more.
            unsafe { self.core.raw.destroy_buffer(self.raw, None) };
        }
    }
}

impl fmt::Debug for PlainBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainBuffer")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}
