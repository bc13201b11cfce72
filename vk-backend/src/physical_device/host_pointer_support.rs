//! What a device can do with images in memory imported by pointer.

use ash::vk;
use dmashare::{Extent, Fourcc, Modifier, Placements};

use crate::failure::{Failure, Named};
use crate::physical_device::PhysicalDevice;
use crate::physical_device::image_plan::ImagePlan;
use crate::physical_device::modifier_support::ModifierSupport;

/// The external memory handle type of such imports.
pub(crate) const HOST_ALLOCATION: vk::ExternalMemoryHandleTypeFlags =
    vk::ExternalMemoryHandleTypeFlags::HOST_ALLOCATION_EXT;

/// Where such memory may be: host pages. Device memory may be uncached or not mappable, and nothing
/// is known of an unknown placement.
pub(crate) const PLACEMENTS: Placements = Placements::HOST.union(Placements::SHMEM);

impl PhysicalDevice {
    /// SwiftShader supports the extension and imports by pointer, but reports no support for any
    /// image or buffer: the handle type is missing in its answer. By its own answer, the extension
    /// would be of no use (VUID-VkImageCreateInfo-pNext-00990,
    /// VUID-VkImportMemoryHostPointerInfoEXT-handleType-01747). Tests compare the pixels.
    fn is_silent_about_pointers(&self) -> bool {
        self.driver_name().starts_with("SwiftShader")
    }

    /// What the device can do with images of this plan in memory imported by pointer; `None` if
    /// nothing. Only for formats of one plane: with several, the driver would also choose their
    /// offsets.
    pub(crate) fn host_pointer_support(
        &self,
        plan: &ImagePlan,
    ) -> Result<Option<ModifierSupport>, Failure> {
        if !has_one_plane(plan.fourcc) {
            return Ok(None);
        }
        let mut formats = vk::ImageFormatListCreateInfo::default().view_formats(&plan.view_formats);
        let mut external =
            vk::PhysicalDeviceExternalImageFormatInfo::default().handle_type(HOST_ALLOCATION);
        let mut info = vk::PhysicalDeviceImageFormatInfo2::default()
            .format(plan.format)
            .ty(vk::ImageType::TYPE_2D)
            .tiling(vk::ImageTiling::LINEAR)
            .usage(plan.usage)
            .flags(plan.flags)
            .push_next(&mut external);
        if plan.is_mutable() {
            info = info.push_next(&mut formats);
        }
        let mut external = vk::ExternalImageFormatProperties::default();
        let mut properties = vk::ImageFormatProperties2::default().push_next(&mut external);
        // SAFETY: the device is of this instance; all chained structures outlive the call.
        let result = unsafe {
            self.instance()
                .raw()
                .get_physical_device_image_format_properties2(self.raw(), &info, &mut properties)
        };
        match result {
            Err(vk::Result::ERROR_FORMAT_NOT_SUPPORTED) => return Ok(None),
            result => result.named("vkGetPhysicalDeviceImageFormatProperties2")?,
        }
        let extent = properties.image_format_properties.max_extent;
        let features = external.external_memory_properties.external_memory_features;
        // A dedicated allocation has exactly the image's size
        // (VUID-VkMemoryDedicatedAllocateInfo-image-02964), but an import by pointer has whole
        // pages.
        let importable = self.is_silent_about_pointers()
            || features.contains(vk::ExternalMemoryFeatureFlags::IMPORTABLE)
                && !features.contains(vk::ExternalMemoryFeatureFlags::DEDICATED_ONLY);
        Ok(importable.then_some(ModifierSupport {
            modifier: Modifier::LINEAR,
            plane_count: 1,
            disjoint: false,
            exportable: false,
            importable: true,
            max_extent: Extent::new(extent.width, extent.height),
        }))
    }
}

fn has_one_plane(format: Fourcc) -> bool {
    format.info().is_some_and(|info| info.planes.len() == 1)
}
