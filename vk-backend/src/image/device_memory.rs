//! Device memory that is exported as a dma-buf, or imported from one or by a pointer to host
//! memory. A dma-buf's memory is dedicated to one image or buffer, unless it holds one plane of an
//! image whose planes lie in several dma-bufs.

use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;

use ash::{ext, khr, vk};
use dmashare::MappedMemory;

use crate::core::device_core::DeviceCore;
use crate::failure::Failure;
use crate::physical_device::host_pointer_support::HOST_ALLOCATION;

/// The image or buffer that memory is dedicated to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dedicated {
    Image(vk::Image),
    Buffer(vk::Buffer),
}

impl Dedicated {
    fn info(self) -> vk::MemoryDedicatedAllocateInfo<'static> {
        match self {
            Self::Image(image) => vk::MemoryDedicatedAllocateInfo::default().image(image),
            Self::Buffer(buffer) => vk::MemoryDedicatedAllocateInfo::default().buffer(buffer),
        }
    }
}

/// A `VkDeviceMemory`, freed when dropped.
pub(crate) struct DeviceMemory {
    core: Arc<DeviceCore>,
    raw: vk::DeviceMemory,
    /// Bytes that were allocated or imported.
    size: u64,
    /// The mapping it was imported from by pointer; unmapped after the memory is freed.
    mapping: Option<MappedMemory>,
}

impl DeviceMemory {
    fn allocate(
        core: &Arc<DeviceCore>,
        info: &vk::MemoryAllocateInfo<'_>,
    ) -> Result<Self, Failure> {
        // SAFETY: the device is alive; `info` was made by one of the functions below.
        let result = unsafe { core.raw.allocate_memory(info, None) };
        Ok(Self {
            core: core.clone(),
            raw: core.check("vkAllocateMemory", result)?,
            size: info.allocation_size,
            mapping: None,
        })
    }

    /// Allocates memory that can be exported as a dma-buf, of exactly the size that its image or
    /// buffer requires (VUID-VkMemoryDedicatedAllocateInfo-image-02964).
    pub(crate) fn exportable(
        core: &Arc<DeviceCore>,
        size: u64,
        memory_type: u32,
        dedicated: Dedicated,
    ) -> Result<Self, Failure> {
        let mut dedicated = dedicated.info();
        let mut export = vk::ExportMemoryAllocateInfo::default()
            .handle_types(vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT);
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(size)
            .memory_type_index(memory_type)
            .push_next(&mut dedicated)
            .push_next(&mut export);
        Self::allocate(core, &info)
    }

    /// Imports a dma-buf, either dedicated or for a plane of an image, which cannot be dedicated.
    /// The driver owns `fd` once the import has succeeded; on error, it is closed here.
    pub(crate) fn imported(
        core: &Arc<DeviceCore>,
        fd: OwnedFd,
        size: u64,
        memory_type: u32,
        dedicated: Option<Dedicated>,
    ) -> Result<Self, Failure> {
        let mut dedicated = dedicated.map(Dedicated::info);
        let mut import = vk::ImportMemoryFdInfoKHR::default()
            .handle_type(vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT)
            .fd(fd.as_raw_fd());
        let mut info = vk::MemoryAllocateInfo::default()
            .allocation_size(size)
            .memory_type_index(memory_type)
            .push_next(&mut import);
        if let Some(dedicated) = &mut dedicated {
            info = info.push_next(dedicated);
        }
        let memory = Self::allocate(core, &info)?;
        let _ = fd.into_raw_fd();
        Ok(memory)
    }

    /// Imports the first `size` bytes of a mapping, whole pages of the device
    /// (`minImportedHostPointerAlignment`), and keeps it mapped. The memory is not dedicated:
    /// dedicated memory has the image's size, which need not be whole pages.
    pub(crate) fn of_pointer(
        core: &Arc<DeviceCore>,
        mapping: MappedMemory,
        size: u64,
        memory_type: u32,
    ) -> Result<Self, Failure> {
        let mut import = vk::ImportMemoryHostPointerInfoEXT::default()
            .handle_type(HOST_ALLOCATION)
            .host_pointer(mapping.address().as_ptr().cast());
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(size)
            .memory_type_index(memory_type)
            .push_next(&mut import);
        let mut memory = Self::allocate(core, &info)?;
        memory.mapping = Some(mapping);
        Ok(memory)
    }

    pub(crate) fn raw(&self) -> vk::DeviceMemory {
        self.raw
    }

    /// Its size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Exports the memory as a dma-buf.
    pub(crate) fn export_fd(
        &self,
        functions: &khr::external_memory_fd::Device,
    ) -> Result<OwnedFd, Failure> {
        let info = vk::MemoryGetFdInfoKHR::default()
            .memory(self.raw)
            .handle_type(vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT);
        // SAFETY: the memory was allocated for export with this handle type.
        let result = unsafe { functions.get_memory_fd(&info) };
        let fd = self.core.check("vkGetMemoryFdKHR", result)?;
        if fd < 0 {
            // lavapipe succeeds without a descriptor if the process has none left.
            return Err(Failure {
                operation: "vkGetMemoryFdKHR",
                source: vk::Result::ERROR_TOO_MANY_OBJECTS,
            });
        }
        // SAFETY: the driver has just created the descriptor and gives it to the caller.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        if self.core.may_destroy() {
            // SAFETY: the owner destroys what is bound to the memory before it drops this field.
            unsafe { self.core.raw.free_memory(self.raw, None) };
        } else {
            // Unfinished work may still use the pages.
            std::mem::forget(self.mapping.take());
        }
    }
}

impl fmt::Debug for DeviceMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceMemory").finish_non_exhaustive()
    }
}

/// The memory types in which the device can import this dma-buf.
///
/// Some drivers also answer for descriptors that are not dma-bufs, so call it only after
/// `DmaBufMemory` has checked the descriptor.
pub(crate) fn importable_types(
    core: &DeviceCore,
    functions: &khr::external_memory_fd::Device,
    fd: BorrowedFd<'_>,
) -> Result<u32, Failure> {
    let mut properties = vk::MemoryFdPropertiesKHR::default();
    // SAFETY: the descriptor is an open dma-buf and stays its owner's.
    let result = unsafe {
        functions.get_memory_fd_properties(
            vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT,
            fd.as_raw_fd(),
            &mut properties,
        )
    };
    core.check("vkGetMemoryFdPropertiesKHR", result)?;
    Ok(properties.memory_type_bits)
}

/// The memory types in which the device can import host memory at `pointer`.
pub(crate) fn types_of_pointer(
    core: &DeviceCore,
    functions: &ext::external_memory_host::Device,
    pointer: NonNull<u8>,
) -> Result<u32, Failure> {
    let mut properties = vk::MemoryHostPointerPropertiesEXT::default();
    // SAFETY: the extension is enabled, and the pointer is that of a mapping
    // (VUID-vkGetMemoryHostPointerPropertiesEXT-handleType-01752, -pHostPointer-01753).
    let result = unsafe {
        (functions.fp().get_memory_host_pointer_properties_ext)(
            functions.device(),
            HOST_ALLOCATION,
            pointer.as_ptr().cast(),
            &mut properties,
        )
    };
    core.check("vkGetMemoryHostPointerPropertiesEXT", result.result())?;
    Ok(properties.memory_type_bits)
}

/// Chooses a memory type among `allowed`: the first one with all properties of the first entry of
/// `preferred`, else of the second, and so on, else any. Skips types that need a feature which is
/// not enabled. The preferences are no requirement: an importer that insists on device-local memory
/// would refuse memory it can use.
pub(crate) fn choose_type(
    types: &[vk::MemoryType],
    allowed: u32,
    preferred: &[vk::MemoryPropertyFlags],
) -> Option<u32> {
    let refused = vk::MemoryPropertyFlags::PROTECTED
        | vk::MemoryPropertyFlags::LAZILY_ALLOCATED
        | vk::MemoryPropertyFlags::DEVICE_COHERENT_AMD
        | vk::MemoryPropertyFlags::DEVICE_UNCACHED_AMD;
    let usable = || {
        (0_u32..)
            .zip(types)
            .filter(|(index, ty)| {
                allowed.checked_shr(*index).unwrap_or(0) & 1 == 1
                    && !ty.property_flags.intersects(refused)
            })
            .map(|(index, ty)| (index, ty.property_flags))
    };
    preferred
        .iter()
        .find_map(|wanted| usable().find(|(_, flags)| flags.contains(*wanted)))
        .or_else(|| usable().next())
        .map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(flags: &[vk::MemoryPropertyFlags]) -> Vec<vk::MemoryType> {
        flags
            .iter()
            .map(|flags| vk::MemoryType {
                property_flags: *flags,
                heap_index: 0,
            })
            .collect()
    }

    #[test]
    fn preference_is_no_demand() {
        let types = types(&[
            vk::MemoryPropertyFlags::HOST_VISIBLE,
            vk::MemoryPropertyFlags::DEVICE_LOCAL,
        ]);
        let local = vk::MemoryPropertyFlags::DEVICE_LOCAL;
        assert_eq!(choose_type(&types, 0b11, &[local]), Some(1));
        assert_eq!(choose_type(&types, 0b01, &[local]), Some(0));
        let both = local | vk::MemoryPropertyFlags::HOST_VISIBLE;
        assert_eq!(choose_type(&types, 0b11, &[both, local]), Some(1));
        assert_eq!(choose_type(&types, 0b100, &[local]), None);
        assert_eq!(choose_type(&types, 0, &[]), None);
    }

    #[test]
    fn protected_memory_is_never_chosen() {
        let types = types(&[
            vk::MemoryPropertyFlags::PROTECTED | vk::MemoryPropertyFlags::DEVICE_LOCAL,
            vk::MemoryPropertyFlags::HOST_VISIBLE,
        ]);
        let local = vk::MemoryPropertyFlags::DEVICE_LOCAL;
        assert_eq!(choose_type(&types, !0, &[local]), Some(1));
    }
}
