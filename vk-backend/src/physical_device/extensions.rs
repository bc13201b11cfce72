//! The device extensions for sharing, and their functions.

use std::ffi::CStr;

use ash::{ext, khr};

/// An extension's name, also as text for errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extension {
    pub(crate) name: &'static CStr,
    pub(crate) text: &'static str,
}

macro_rules! extensions {
    ($($constant:ident = $module:path, $text:literal;)*) => {
        $(pub(crate) const $constant: Extension = {
            use $module as module;
            Extension { name: module::NAME, text: $text }
        };)*
    };
}

extensions! {
    EXTERNAL_MEMORY_FD = khr::external_memory_fd, "VK_KHR_external_memory_fd";
    EXTERNAL_MEMORY_DMA_BUF = ext::external_memory_dma_buf, "VK_EXT_external_memory_dma_buf";
    IMAGE_DRM_FORMAT_MODIFIER = ext::image_drm_format_modifier, "VK_EXT_image_drm_format_modifier";
    EXTERNAL_FENCE_FD = khr::external_fence_fd, "VK_KHR_external_fence_fd";
    EXTERNAL_SEMAPHORE_FD = khr::external_semaphore_fd, "VK_KHR_external_semaphore_fd";
    QUEUE_FAMILY_FOREIGN = ext::queue_family_foreign, "VK_EXT_queue_family_foreign";
    EXTERNAL_MEMORY_HOST = ext::external_memory_host, "VK_EXT_external_memory_host";
    PHYSICAL_DEVICE_DRM = ext::physical_device_drm, "VK_EXT_physical_device_drm";
}

/// The extensions that export and import of images require. `VK_EXT_queue_family_foreign` is not
/// among them: without it, `VK_QUEUE_FAMILY_EXTERNAL` (Vulkan 1.1) is used instead, although the
/// specification defines that only between devices with the same driver.
pub(crate) const NEEDED: [Extension; 3] = [
    EXTERNAL_MEMORY_FD,
    EXTERNAL_MEMORY_DMA_BUF,
    IMAGE_DRM_FORMAT_MODIFIER,
];

/// The extensions to enable where they are supported; the last one only on a device without
/// dma-bufs
/// ([`PhysicalDevice::imports_by_host_pointer`](crate::PhysicalDevice::imports_by_host_pointer)).
pub(crate) const WANTED: [Extension; 7] = [
    EXTERNAL_MEMORY_FD,
    EXTERNAL_MEMORY_DMA_BUF,
    IMAGE_DRM_FORMAT_MODIFIER,
    EXTERNAL_FENCE_FD,
    EXTERNAL_SEMAPHORE_FD,
    QUEUE_FAMILY_FOREIGN,
    EXTERNAL_MEMORY_HOST,
];

/// The functions of the extensions enabled on a device.
#[derive(Clone)]
pub(crate) struct Functions {
    pub(crate) memory_fd: Option<khr::external_memory_fd::Device>,
    pub(crate) semaphore_fd: Option<khr::external_semaphore_fd::Device>,
    pub(crate) fence_fd: Option<khr::external_fence_fd::Device>,
    pub(crate) modifier: Option<ext::image_drm_format_modifier::Device>,
    /// Only if memory is imported by pointer.
    pub(crate) memory_host: Option<ext::external_memory_host::Device>,
    pub(crate) dma_buf: bool,
    pub(crate) foreign: bool,
}

impl Functions {
    /// Loads the functions of the extensions for which `is_enabled` returns true.
    pub(crate) fn load(
        instance: &ash::Instance,
        device: &ash::Device,
        is_enabled: impl Fn(&CStr) -> bool,
    ) -> Self {
        Self {
            memory_fd: is_enabled(EXTERNAL_MEMORY_FD.name)
                .then(|| khr::external_memory_fd::Device::new(instance, device)),
            semaphore_fd: is_enabled(EXTERNAL_SEMAPHORE_FD.name)
                .then(|| khr::external_semaphore_fd::Device::new(instance, device)),
            fence_fd: is_enabled(EXTERNAL_FENCE_FD.name)
                .then(|| khr::external_fence_fd::Device::new(instance, device)),
            modifier: is_enabled(IMAGE_DRM_FORMAT_MODIFIER.name)
                .then(|| ext::image_drm_format_modifier::Device::new(instance, device)),
            memory_host: is_enabled(EXTERNAL_MEMORY_HOST.name)
                .then(|| ext::external_memory_host::Device::new(instance, device)),
            dma_buf: is_enabled(EXTERNAL_MEMORY_DMA_BUF.name),
            foreign: is_enabled(QUEUE_FAMILY_FOREIGN.name),
        }
    }

    /// The functions for image memory, or the name of the first missing extension.
    pub(crate) fn image_memory(
        &self,
    ) -> Result<
        (
            &khr::external_memory_fd::Device,
            &ext::image_drm_format_modifier::Device,
        ),
        &'static str,
    > {
        let memory = self.buffer_memory()?;
        let modifier = self
            .modifier
            .as_ref()
            .ok_or(IMAGE_DRM_FORMAT_MODIFIER.text)?;
        Ok((memory, modifier))
    }

    /// The functions for the memory of plain buffers, or the name of the first missing extension.
    pub(crate) fn buffer_memory(&self) -> Result<&khr::external_memory_fd::Device, &'static str> {
        if !self.dma_buf {
            return Err(EXTERNAL_MEMORY_DMA_BUF.text);
        }
        self.memory_fd.as_ref().ok_or(EXTERNAL_MEMORY_FD.text)
    }
}
