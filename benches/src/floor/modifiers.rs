//! With which modifiers an image can leave and enter a device: asked once, not for each image.

use anyhow::{Result, bail};
use ash::vk;

use super::Vulkan;

/// One modifier that the device can export and import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupportedModifier {
    /// The kernel's value.
    pub modifier: u64,
    /// How many memory planes an image with it has.
    pub planes: u32,
}

/// The modifiers with which `format` images of `extent` can be exported and imported for `usage`.
///
/// # Errors
/// When there is none.
pub fn supported_modifiers(
    vulkan: &Vulkan,
    format: vk::Format,
    extent: vk::Extent2D,
    usage: vk::ImageUsageFlags,
) -> Result<Vec<SupportedModifier>> {
    let mut list = vk::DrmFormatModifierPropertiesListEXT::default();
    let mut properties = vk::FormatProperties2::default().push_next(&mut list);
    // SAFETY: the physical device is of this instance; the chain asks for the count only.
    unsafe {
        vulkan.instance().get_physical_device_format_properties2(
            vulkan.physical_device(),
            format,
            &mut properties,
        );
    }
    let mut all = vec![
        vk::DrmFormatModifierPropertiesEXT::default();
        usize::try_from(list.drm_format_modifier_count)?
    ];
    let mut list =
        vk::DrmFormatModifierPropertiesListEXT::default().drm_format_modifier_properties(&mut all);
    let mut properties = vk::FormatProperties2::default().push_next(&mut list);
    // SAFETY: as above; the list has room for the count that was given.
    unsafe {
        vulkan.instance().get_physical_device_format_properties2(
            vulkan.physical_device(),
            format,
            &mut properties,
        );
    }
    let supported: Vec<_> = all
        .iter()
        .filter(|one| can_share(vulkan, format, extent, usage, one.drm_format_modifier))
        .map(|one| SupportedModifier {
            modifier: one.drm_format_modifier,
            planes: one.drm_format_modifier_plane_count,
        })
        .collect();
    if supported.is_empty() {
        bail!("{} cannot share {format:?} images", vulkan.name());
    }
    Ok(supported)
}

fn can_share(
    vulkan: &Vulkan,
    format: vk::Format,
    extent: vk::Extent2D,
    usage: vk::ImageUsageFlags,
    modifier: u64,
) -> bool {
    let mut modifier =
        vk::PhysicalDeviceImageDrmFormatModifierInfoEXT::default().drm_format_modifier(modifier);
    let mut external = vk::PhysicalDeviceExternalImageFormatInfo::default()
        .handle_type(vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT);
    let image = vk::PhysicalDeviceImageFormatInfo2::default()
        .format(format)
        .ty(vk::ImageType::TYPE_2D)
        .tiling(vk::ImageTiling::DRM_FORMAT_MODIFIER_EXT)
        .usage(usage)
        .push_next(&mut modifier)
        .push_next(&mut external);
    let mut answer = vk::ExternalImageFormatProperties::default();
    let mut properties = vk::ImageFormatProperties2::default().push_next(&mut answer);
    // SAFETY: the physical device is of this instance and has both extensions of the chain.
    let result = unsafe {
        vulkan
            .instance()
            .get_physical_device_image_format_properties2(
                vulkan.physical_device(),
                &image,
                &mut properties,
            )
    };
    let maximum = properties.image_format_properties.max_extent;
    let features = answer.external_memory_properties.external_memory_features;
    result.is_ok()
        && extent.width <= maximum.width
        && extent.height <= maximum.height
        && features.contains(
            vk::ExternalMemoryFeatureFlags::EXPORTABLE | vk::ExternalMemoryFeatureFlags::IMPORTABLE,
        )
}
