//! Host-visible buffers for transfers between images and the CPU.

use std::fmt;
use std::sync::{Arc, PoisonError};

use ash::vk;
use gpu_allocator::vulkan::{
    Allocation, AllocationCreateDesc, AllocationScheme, Allocator, AllocatorCreateDesc,
};
use gpu_allocator::{AllocationSizes, AllocatorDebugSettings, MemoryLocation};

use crate::core::device_core::DeviceCore;
use crate::error::TransferError;

/// Staging memory is allocated in blocks of this size; a larger buffer gets a block of its own.
const BLOCK: u64 = 8 << 20;

/// A mapped buffer in host-coherent memory from gpu-allocator.
pub(crate) struct StagingBuffer {
    core: Arc<DeviceCore>,
    raw: vk::Buffer,
    allocation: Option<Allocation>,
}

fn allocator_error(source: gpu_allocator::AllocationError) -> TransferError {
    TransferError::Device {
        operation: "allocating staging memory",
        source: source.into(),
    }
}

impl StagingBuffer {
    pub(crate) fn new(
        core: &Arc<DeviceCore>,
        size: u64,
        usage: vk::BufferUsageFlags,
        location: MemoryLocation,
    ) -> Result<Self, TransferError> {
        let info = vk::BufferCreateInfo::default()
            .size(size.max(1))
            .usage(usage)
            .sharing_mode(vk::SharingMode::EXCLUSIVE);
        // SAFETY: the device is alive; the size is not 0.
        let result = unsafe { core.raw.create_buffer(&info, None) };
        let mut this = Self {
            core: core.clone(),
            raw: core.check("vkCreateBuffer", result)?,
            allocation: None,
        };
        // SAFETY: the buffer is new and alive.
        let requirements = unsafe { core.raw.get_buffer_memory_requirements(this.raw) };
        let mut allocator = core
            .allocator
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if allocator.is_none() {
            *allocator = Some(
                Allocator::new(&AllocatorCreateDesc {
                    instance: core.instance.raw().clone(),
                    device: core.raw.clone(),
                    physical_device: core.physical.raw(),
                    debug_settings: AllocatorDebugSettings::default(),
                    buffer_device_address: false,
                    allocation_sizes: AllocationSizes::new(BLOCK, BLOCK),
                })
                .map_err(allocator_error)?,
            );
        }
        let allocation = allocator.as_mut().map(|allocator| {
            allocator.allocate(&AllocationCreateDesc {
                name: "dmashare staging",
                requirements,
                location,
                linear: true,
                allocation_scheme: AllocationScheme::GpuAllocatorManaged,
            })
        });
        drop(allocator);
        let Some(allocation) = allocation.transpose().map_err(allocator_error)? else {
            return Ok(this);
        };
        // SAFETY: the memory outlives this buffer.
        let memory = unsafe { allocation.memory() };
        let offset = allocation.offset();
        this.allocation = Some(allocation);
        // SAFETY: the buffer has no memory yet, and the allocation meets its requirements.
        let result = unsafe { core.raw.bind_buffer_memory(this.raw, memory, offset) };
        core.check("vkBindBufferMemory", result)?;
        Ok(this)
    }

    pub(crate) fn raw(&self) -> vk::Buffer {
        self.raw
    }

    /// The bytes. Call it only while no submitted work writes them.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.allocation
            .as_ref()
            .and_then(Allocation::mapped_slice)
            .unwrap_or_default()
    }

    /// The bytes, for writing. Call it only while no submitted work reads them.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.allocation
            .as_mut()
            .and_then(Allocation::mapped_slice_mut)
            .unwrap_or_default()
    }
}

impl Drop for StagingBuffer {
    fn drop(&mut self) {
        let allocation = self.allocation.take();
        if !self.core.may_destroy() {
            return;
        }
        // SAFETY: the work that used it is over, or was never submitted.
        unsafe { self.core.raw.destroy_buffer(self.raw, None) };
        let mut allocator = self
            .core
            .allocator
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let (Some(allocator), Some(allocation)) = (allocator.as_mut(), allocation)
            && let Err(error) = allocator.free(allocation)
        {
            tracing::error!(%error, "staging memory was not freed");
        }
    }
}

impl fmt::Debug for StagingBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagingBuffer").finish_non_exhaustive()
    }
}
