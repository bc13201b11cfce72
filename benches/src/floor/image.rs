//! An image, its dedicated memory and its view.

use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use ash::vk;

use super::Vulkan;

/// An image with its memory and a view of it; all are destroyed when it is dropped.
pub struct Image {
    vulkan: Arc<Vulkan>,
    pub(super) image: vk::Image,
    memory: vk::DeviceMemory,
    view: vk::ImageView,
}

impl Image {
    /// Creates the image alone.
    ///
    /// # Safety
    /// - `create` is valid for the device.
    pub(super) unsafe fn create(
        vulkan: &Arc<Vulkan>,
        create: &vk::ImageCreateInfo<'_>,
    ) -> Result<Self> {
        // SAFETY: the caller's promise.
        let image = unsafe { vulkan.device.create_image(create, None) }?;
        Ok(Self {
            vulkan: vulkan.clone(),
            image,
            memory: vk::DeviceMemory::null(),
            view: vk::ImageView::null(),
        })
    }

    /// The image.
    pub fn raw(&self) -> vk::Image {
        self.image
    }

    /// What memory it needs.
    pub(super) fn requirements(&self) -> vk::MemoryRequirements {
        // SAFETY: the image is of this device and lives.
        unsafe { self.vulkan.device.get_image_memory_requirements(self.image) }
    }

    /// Allocates its memory. An imported descriptor in the chain is the driver's afterwards.
    ///
    /// # Safety
    /// - `allocate` is valid for this image: its size and type are from [`Self::requirements`], and
    ///   it is dedicated to it.
    /// - The image has no memory yet.
    pub(super) unsafe fn allocate(
        &mut self,
        allocate: &vk::MemoryAllocateInfo<'_>,
    ) -> Result<vk::DeviceMemory> {
        // SAFETY: the caller's promise.
        self.memory = unsafe { self.vulkan.device.allocate_memory(allocate, None) }?;
        Ok(self.memory)
    }

    /// Binds the allocated memory and makes the view.
    ///
    /// # Safety
    /// - The memory is allocated and not bound; the image was made with `format`.
    pub(super) unsafe fn bind(&mut self, format: vk::Format) -> Result<()> {
        let device = &self.vulkan.device;
        // SAFETY: the memory was allocated for this image, which has none yet.
        unsafe { device.bind_image_memory(self.image, self.memory, 0) }?;
        let view = vk::ImageViewCreateInfo::default()
            .image(self.image)
            .view_type(vk::ImageViewType::TYPE_2D)
            .format(format)
            .subresource_range(vk::ImageSubresourceRange {
                aspect_mask: vk::ImageAspectFlags::COLOR,
                base_mip_level: 0,
                level_count: 1,
                base_array_layer: 0,
                layer_count: 1,
            });
        // SAFETY: the image is bound to its memory and was made with this format.
        self.view = unsafe { device.create_image_view(&view, None) }?;
        Ok(())
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let device = &self.vulkan.device;
        // SAFETY: work that uses it was waited for by whoever submitted it (`Commands` does when it is
        // dropped, before the image); a null handle is ignored.
        unsafe { device.destroy_image_view(self.view, None) };
        // SAFETY: as above, and its view is gone.
        unsafe { device.destroy_image(self.image, None) };
        // SAFETY: as above, and the image that it was bound to is gone.
        unsafe { device.free_memory(self.memory, None) };
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("image", &self.image)
            .finish_non_exhaustive()
    }
}
