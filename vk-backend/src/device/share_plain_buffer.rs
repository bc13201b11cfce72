//! Export and import of plain buffers.

use std::os::fd::AsFd;

use ash::vk;
use dmashare::{DmaBufMemory, ExportError, FenceSet, ImportError, LayoutError, Placement};

use crate::device::Device;
use crate::device::plain_buffer::PlainBuffer;
use crate::device::retired::Retired;
use crate::error::PlainBufferError;
use crate::failure::Failure;
use crate::image::device_memory::{Dedicated, DeviceMemory, choose_type, importable_types};
use crate::image::export::check_size;

impl Device {
    /// Queries `vkGetPhysicalDeviceExternalBufferProperties` for dma-bufs.
    fn buffer_features(&self, usage: vk::BufferUsageFlags) -> vk::ExternalMemoryFeatureFlags {
        let core = self.core();
        let info = vk::PhysicalDeviceExternalBufferInfo::default()
            .usage(usage)
            .handle_type(vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT);
        let mut properties = vk::ExternalBufferProperties::default();
        // SAFETY: the device is of this instance, and supports dma-buf handles.
        unsafe {
            core.instance
                .raw()
                .get_physical_device_external_buffer_properties(
                    core.physical.raw(),
                    &info,
                    &mut properties,
                );
        }
        properties
            .external_memory_properties
            .external_memory_features
    }

    /// Checks what can be checked before the driver sees the size: a size near 2^64 overflows in
    /// some drivers.
    fn check_plain(&self, size: u64, usage: vk::BufferUsageFlags) -> Result<(), PlainBufferError> {
        if size == 0 {
            return Err(PlainBufferError::EmptySize);
        }
        if usage.is_empty() {
            return Err(PlainBufferError::EmptyUsage);
        }
        let maximum = self.core().physical.max_buffer_size();
        if size > maximum {
            return Err(PlainBufferError::TooLarge {
                device: self.core().name.clone(),
                size,
                maximum,
            });
        }
        Ok(())
    }

    /// The memory requirements of a new buffer, which must not be smaller than the buffer.
    fn checked_requirements(
        &self,
        buffer: &PlainBuffer,
    ) -> Result<vk::MemoryRequirements, PlainBufferError> {
        let requirements = buffer.requirements();
        if requirements.size < buffer.size() {
            return Err(PlainBufferError::Requirements {
                device: self.core().name.clone(),
                size: buffer.size(),
                required: requirements.size,
            });
        }
        Ok(requirements)
    }

    /// Creates a buffer of `size` bytes in memory that is exported as a dma-buf, and sets the
    /// dma-buf's name, which shows in the kernel's lists.
    ///
    /// # Errors
    /// - [`PlainBufferError::EmptySize`], [`PlainBufferError::EmptyUsage`],
    ///   [`PlainBufferError::TooLarge`], [`PlainBufferError::Requirements`]: the device cannot make
    ///   such a buffer.
    /// - [`ExportError::Layout`]: the name is empty.
    /// - [`ExportError::MissingFeature`]: the device cannot export buffers for these uses.
    /// - [`ExportError::MemoryTooSmall`]: the driver exported less than the buffer needs.
    /// - [`ExportError::Device`], [`ExportError::DmaBuf`]: a Vulkan command or a system call failed.
    ///
    /// An error leaves nothing behind.
    pub fn export_buffer(
        &self,
        name: &str,
        size: u64,
        usage: vk::BufferUsageFlags,
    ) -> Result<PlainBuffer, PlainBufferError> {
        let core = self.core();
        let failed = |failure: Failure| failure.export(&core.name);
        let missing = |missing| ExportError::MissingFeature {
            exporter: core.name.clone(),
            missing,
        };
        if name.is_empty() {
            return Err(ExportError::from(LayoutError::EmptyName).into());
        }
        self.check_plain(size, usage)?;
        let functions = core.functions.buffer_memory().map_err(missing)?;
        if !self
            .buffer_features(usage)
            .contains(vk::ExternalMemoryFeatureFlags::EXPORTABLE)
        {
            return Err(missing("dma-buf export of buffers with this usage").into());
        }
        let mut buffer = PlainBuffer::create(core, size, usage).map_err(failed)?;
        let requirements = self.checked_requirements(&buffer)?;
        let memory_type = choose_type(
            core.physical.memory_types(),
            requirements.memory_type_bits,
            &[vk::MemoryPropertyFlags::DEVICE_LOCAL],
        )
        .ok_or_else(|| missing("a memory type for exported buffers"))?;
        let dedicated = Dedicated::Buffer(buffer.raw());
        let memory = DeviceMemory::exportable(core, requirements.size, memory_type, dedicated)
            .map_err(failed)?;
        let fd = memory.export_fd(functions).map_err(failed)?;
        let dmabuf = DmaBufMemory::new(fd).map_err(ExportError::from)?;
        check_size(&core.name, &dmabuf, requirements.size)?;
        dmabuf.set_name(name).map_err(ExportError::from)?;
        buffer.bind(memory).map_err(failed)?;
        buffer.dmabuf = Some(dmabuf);
        Ok(buffer)
    }

    /// Creates a buffer in the first `size` bytes of another exporter's dma-buf.
    ///
    /// # Errors
    /// - [`PlainBufferError::EmptySize`], [`PlainBufferError::EmptyUsage`],
    ///   [`PlainBufferError::TooLarge`], [`PlainBufferError::Requirements`]: the device cannot make
    ///   such a buffer.
    /// - [`ImportError::MissingFeature`]: the device cannot import buffers for these uses.
    /// - [`ImportError::MemoryTooSmall`]: the dma-buf is smaller than `size`, or than the device
    ///   needs for a buffer of this size.
    /// - [`ImportError::Unreachable`]: no memory type of the device can hold this dma-buf.
    /// - [`ImportError::Device`], [`ImportError::DmaBuf`]: a Vulkan command or a system call failed.
    ///
    /// An error leaves nothing behind. The caller keeps its descriptor.
    pub fn import_buffer(
        &self,
        memory: &DmaBufMemory,
        size: u64,
        usage: vk::BufferUsageFlags,
    ) -> Result<PlainBuffer, PlainBufferError> {
        let core = self.core();
        let failed = |failure: Failure| failure.import(&core.name);
        let missing = |missing| ImportError::MissingFeature {
            importer: core.name.clone(),
            missing,
        };
        self.check_plain(size, usage)?;
        let functions = core.functions.buffer_memory().map_err(missing)?;
        if !self
            .buffer_features(usage)
            .contains(vk::ExternalMemoryFeatureFlags::IMPORTABLE)
        {
            return Err(missing("dma-buf import of buffers with this usage").into());
        }
        let check_size = |required: u64| {
            if memory.size() < required {
                return Err(ImportError::MemoryTooSmall {
                    importer: core.name.clone(),
                    required,
                    actual: memory.size(),
                });
            }
            Ok(())
        };
        check_size(size)?;
        let importable = importable_types(core, functions, memory.as_fd()).map_err(failed)?;
        let mut buffer = PlainBuffer::create(core, size, usage).map_err(failed)?;
        let requirements = self.checked_requirements(&buffer)?;
        check_size(requirements.size)?;
        let memory_type = choose_type(
            core.physical.memory_types(),
            requirements.memory_type_bits & importable,
            &[],
        )
        .ok_or_else(|| ImportError::Unreachable {
            importer: core.name.clone(),
            placement: Placement::Unknown,
            reason: format!(
                "no memory type serves both the buffer ({:#x}) and this dma-buf ({importable:#x})",
                requirements.memory_type_bits
            ),
        })?;
        let fd = memory.duplicate_fd().map_err(ImportError::from)?;
        let dedicated = Dedicated::Buffer(buffer.raw());
        let imported =
            DeviceMemory::imported(core, fd, requirements.size, memory_type, Some(dedicated))
                .map_err(failed)?;
        buffer.bind(imported).map_err(failed)?;
        buffer.dmabuf = Some(memory.clone());
        Ok(buffer)
    }

    /// Takes a buffer back and destroys it once the fences are over. Does not block.
    pub fn retire_buffer(&self, buffer: PlainBuffer, after: FenceSet) {
        self.retire_object(Retired::Buffer(buffer), after);
    }
}
