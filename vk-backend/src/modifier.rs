//! Which modifiers a device can export and import, asked with an image's exact parameters.

use std::collections::HashMap;
use std::sync::Arc;

use ash::vk;
use dmashare::{Extent, Modifier};
use smallvec::SmallVec;

use crate::PhysicalDevice;
use crate::error::{Failure, Named};
use crate::image_plan::ImagePlan;

/// What a device can do with one modifier of a format, for given uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModifierSupport {
    /// The modifier.
    pub modifier: Modifier,
    /// How many planes an image has in memory (`drmFormatModifierPlaneCount`), with those that the
    /// modifier itself adds.
    pub plane_count: u32,
    /// Whether the device can export such an image as a dma-buf.
    pub exportable: bool,
    /// Whether it can import one.
    pub importable: bool,
    /// The largest image.
    pub max_extent: Extent,
}

/// More combinations of format and usage than a program has; a bound all the same.
const MOST_ANSWERS: usize = 256;

/// What `vkGetPhysicalDeviceImageFormatProperties2` is asked about a plan: all but its extent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    usage: vk::ImageUsageFlags,
    flags: vk::ImageCreateFlags,
    view_formats: SmallVec<[vk::Format; 4]>,
}

impl Question {
    fn of(plan: &ImagePlan) -> Self {
        Self {
            usage: plan.usage,
            flags: plan.flags,
            // The first of them is the format itself.
            view_formats: plan.view_formats.clone(),
        }
    }
}

/// The driver's answers so far.
pub(crate) type Answers = HashMap<Question, Arc<[ModifierSupport]>>;

impl PhysicalDevice {
    /// `VkDrmFormatModifierPropertiesListEXT` of a format: every modifier that the driver knows.
    fn modifier_properties(&self, format: vk::Format) -> Vec<vk::DrmFormatModifierPropertiesEXT> {
        let functions = self.instance().raw();
        let mut list = vk::DrmFormatModifierPropertiesListEXT::default();
        let mut properties = vk::FormatProperties2::default().push_next(&mut list);
        // SAFETY: the device is of this instance, and without an array only the count is written.
        unsafe {
            functions.get_physical_device_format_properties2(self.raw(), format, &mut properties);
        }
        let count = usize::try_from(list.drm_format_modifier_count).unwrap_or(0);
        let mut modifiers = vec![vk::DrmFormatModifierPropertiesEXT::default(); count];
        let mut list = vk::DrmFormatModifierPropertiesListEXT::default()
            .drm_format_modifier_properties(&mut modifiers);
        let mut properties = vk::FormatProperties2::default().push_next(&mut list);
        // SAFETY: as above, and the array has the length that is given with it.
        unsafe {
            functions.get_physical_device_format_properties2(self.raw(), format, &mut properties);
        }
        let written = usize::try_from(list.drm_format_modifier_count).unwrap_or(0);
        modifiers.truncate(written);
        modifiers
    }

    /// Everything that the device can do with images of this plan, one entry for each modifier with
    /// which it can export or import them. The driver is asked once for each plan; its answer holds
    /// for the life of the instance.
    pub(crate) fn modifier_supports(
        &self,
        plan: &ImagePlan,
    ) -> Result<Arc<[ModifierSupport]>, Failure> {
        let question = Question::of(plan);
        if let Some(known) = self.answers().get(&question) {
            return Ok(known.clone());
        }
        let supports: Arc<[ModifierSupport]> = if self.imports_by_host_pointer() {
            self.host_pointer_support(plan)?.into_iter().collect()
        } else {
            self.dma_buf_supports(plan)?.into()
        };
        let mut answers = self.answers();
        if answers.len() >= MOST_ANSWERS {
            answers.clear();
        }
        answers.insert(question, supports.clone());
        Ok(supports)
    }

    /// The same of dma-bufs.
    fn dma_buf_supports(&self, plan: &ImagePlan) -> Result<Vec<ModifierSupport>, Failure> {
        let mut supports = Vec::new();
        for properties in self.modifier_properties(plan.format) {
            let plane_count = properties.drm_format_modifier_plane_count;
            let modifier = Modifier::new(properties.drm_format_modifier);
            if let Some(support) = self.modifier_support(plan, modifier, plane_count)?
                && (support.exportable || support.importable)
            {
                supports.push(support);
            }
        }
        Ok(supports)
    }

    /// `vkGetPhysicalDeviceImageFormatProperties2` with the modifier, the handle type and the exact
    /// parameters; `None` where the driver says that it does not support them.
    fn modifier_support(
        &self,
        plan: &ImagePlan,
        modifier: Modifier,
        plane_count: u32,
    ) -> Result<Option<ModifierSupport>, Failure> {
        let mut formats = vk::ImageFormatListCreateInfo::default().view_formats(&plan.view_formats);
        let mut external = vk::PhysicalDeviceExternalImageFormatInfo::default()
            .handle_type(vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT);
        let mut modifier_info = vk::PhysicalDeviceImageDrmFormatModifierInfoEXT::default()
            .drm_format_modifier(modifier.as_raw())
            .sharing_mode(vk::SharingMode::EXCLUSIVE);
        let mut info = vk::PhysicalDeviceImageFormatInfo2::default()
            .format(plan.format)
            .ty(vk::ImageType::TYPE_2D)
            .tiling(vk::ImageTiling::DRM_FORMAT_MODIFIER_EXT)
            .usage(plan.usage)
            .flags(plan.flags)
            .push_next(&mut external)
            .push_next(&mut modifier_info);
        if plan.is_mutable() {
            info = info.push_next(&mut formats);
        }
        let mut external_properties = vk::ExternalImageFormatProperties::default();
        let mut properties =
            vk::ImageFormatProperties2::default().push_next(&mut external_properties);
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
        let features = external_properties
            .external_memory_properties
            .external_memory_features;
        Ok(Some(ModifierSupport {
            modifier,
            plane_count,
            exportable: features.contains(vk::ExternalMemoryFeatureFlags::EXPORTABLE),
            importable: features.contains(vk::ExternalMemoryFeatureFlags::IMPORTABLE),
            max_extent: Extent::new(extent.width, extent.height),
        }))
    }
}
