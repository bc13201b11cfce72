//! A Vulkan buffer that the CPU reads and writes.

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use anyhow::{Context, Result};
use ash::vk;

use super::Vulkan;

/// A buffer in cached host memory, mapped. It goes when it is dropped, after the device's queue has
/// come to rest.
pub struct HostBuffer {
    vulkan: Arc<Vulkan>,
    buffer: vk::Buffer,
    memory: vk::DeviceMemory,
    address: NonNull<u8>,
    bytes: usize,
}

impl HostBuffer {
    /// A buffer to copy from and to.
    ///
    /// # Errors
    /// When Vulkan refuses, or has no host memory that is cached and coherent.
    pub fn new(vulkan: &Arc<Vulkan>, bytes: u64) -> Result<Self> {
        let create = vk::BufferCreateInfo::default()
            .size(bytes)
            .usage(vk::BufferUsageFlags::TRANSFER_SRC | vk::BufferUsageFlags::TRANSFER_DST);
        let device = &vulkan.device;
        let mut this = Self {
            // SAFETY: the create info is valid: a buffer without extensions.
            buffer: unsafe { device.create_buffer(&create, None) }?,
            vulkan: vulkan.clone(),
            memory: vk::DeviceMemory::null(),
            address: NonNull::dangling(),
            bytes: usize::try_from(bytes)?,
        };
        // SAFETY: the buffer is of this device.
        let requirements = unsafe { device.get_buffer_memory_requirements(this.buffer) };
        let allocate = vk::MemoryAllocateInfo::default()
            .allocation_size(requirements.size)
            .memory_type_index(vulkan.host_memory_type(requirements.memory_type_bits)?);
        // SAFETY: size and type are the buffer's.
        this.memory = unsafe { device.allocate_memory(&allocate, None) }?;
        // SAFETY: the memory was allocated for this buffer, which has none yet.
        unsafe { device.bind_buffer_memory(this.buffer, this.memory, 0) }?;
        let whole = vk::WHOLE_SIZE;
        let flags = vk::MemoryMapFlags::empty();
        // SAFETY: the memory is host-visible and not mapped yet.
        let address = unsafe { device.map_memory(this.memory, 0, whole, flags) }?;
        this.address = NonNull::new(address.cast()).context("memory is mapped nowhere")?;
        Ok(this)
    }

    /// The buffer.
    pub fn raw(&self) -> vk::Buffer {
        self.buffer
    }

    /// Its bytes. Whoever has submitted work that writes them has waited for it.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: mapped with so many bytes until this is dropped, and no pending work writes them:
        // everything that is submitted here is waited for by the same thread.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr(), self.bytes) }
    }

    /// The same to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and no pending work reads them.
        unsafe { std::slice::from_raw_parts_mut(self.address.as_ptr(), self.bytes) }
    }
}

impl Drop for HostBuffer {
    fn drop(&mut self) {
        self.vulkan.rest();
        // SAFETY: the queue is at rest, so no work uses it.
        unsafe { self.vulkan.device.destroy_buffer(self.buffer, None) };
        // SAFETY: as above; freeing unmaps. A null handle is ignored.
        unsafe { self.vulkan.device.free_memory(self.memory, None) };
    }
}

impl fmt::Debug for HostBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostBuffer")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
