//! Queries for the modifiers a device can export and import, with an image's exact parameters.

use std::sync::Arc;

use ash::vk;
use dmashare::{Extent, Fourcc, Modifier, Usage};

use crate::error::DeviceError;
use crate::failure::{Failure, Named};
use crate::physical_device::PhysicalDevice;
use crate::physical_device::format::fourccs;
use crate::physical_device::image_plan::ImagePlan;
use crate::physical_device::modifier_support::{MOST_ANSWERS, ModifierSupport, Question};

/// How many modifiers of a format are looked at.
const MOST_MODIFIERS: usize = 4096;

/// One answer of `vkGetPhysicalDeviceImageFormatProperties2`.
struct Answer {
    features: vk::ExternalMemoryFeatureFlags,
    max_extent: Extent,
}

impl Answer {
    fn allows(&self, feature: vk::ExternalMemoryFeatureFlags) -> bool {
        self.features.contains(feature)
    }
}

impl PhysicalDevice {
    /// The formats it can export or import for all of these uses, with at least one modifier.
    pub fn formats(&self, usage: Usage) -> Vec<Fourcc> {
        fourccs()
            .filter(|fourcc| {
                self.modifiers(*fourcc, usage)
                    .is_ok_and(|supports| !supports.is_empty())
            })
            .collect()
    }

    /// The modifiers with which it can export or import `format` for all of these uses, in the
    /// driver's order; empty if there are none.
    ///
    /// # Errors
    /// [`DeviceError::Vulkan`]: the driver cannot answer.
    pub fn modifiers(
        &self,
        format: Fourcc,
        usage: Usage,
    ) -> Result<Vec<ModifierSupport>, DeviceError> {
        if !self.missing_for_import().is_empty() {
            return Ok(Vec::new());
        }
        match ImagePlan::of_format(format, usage) {
            Some(plan) => self
                .modifier_supports(&plan)
                .map(|supports| supports.to_vec())
                .map_err(|failure: Failure| failure.device(self.name())),
            None => Ok(Vec::new()),
        }
    }

    /// The modifiers alone, for errors that list what is supported.
    pub(crate) fn modifier_values<'a>(
        supports: impl IntoIterator<Item = &'a ModifierSupport>,
    ) -> Vec<Modifier> {
        supports
            .into_iter()
            .map(|support| support.modifier)
            .collect()
    }

    /// `VkDrmFormatModifierPropertiesListEXT` of a format: every modifier the driver knows.
    fn modifier_properties(&self, format: vk::Format) -> Vec<vk::DrmFormatModifierPropertiesEXT> {
        let functions = self.instance().raw();
        let mut list = vk::DrmFormatModifierPropertiesListEXT::default();
        let mut properties = vk::FormatProperties2::default().push_next(&mut list);
        // SAFETY: the device is of this instance, and without an array only the count is written.
        unsafe {
            functions.get_physical_device_format_properties2(self.raw(), format, &mut properties);
        }
        // No driver has that many; an absurd answer costs no memory.
        let count = usize::try_from(list.drm_format_modifier_count).unwrap_or(0);
        let count = count.min(MOST_MODIFIERS);
        let mut modifiers = vec![vk::DrmFormatModifierPropertiesEXT::default(); count];
        let mut list = vk::DrmFormatModifierPropertiesListEXT::default()
            .drm_format_modifier_properties(&mut modifiers);
        let mut properties = vk::FormatProperties2::default().push_next(&mut list);
        // SAFETY: as above, and the array has the length given with it.
        unsafe {
            functions.get_physical_device_format_properties2(self.raw(), format, &mut properties);
        }
        let written = usize::try_from(list.drm_format_modifier_count).unwrap_or(0);
        modifiers.truncate(written);
        modifiers
    }

    /// The features of a format with a modifier; empty if the driver does not know the modifier.
    pub(crate) fn modifier_features(
        &self,
        format: vk::Format,
        modifier: Modifier,
    ) -> vk::FormatFeatureFlags {
        let known = self.modifier_properties(format);
        known
            .into_iter()
            .find(|properties| properties.drm_format_modifier == modifier.as_raw())
            .map(|properties| properties.drm_format_modifier_tiling_features)
            .unwrap_or_default()
    }

    /// What the device can do with images of this plan: one entry for each modifier with which it
    /// can export or import them. The driver is queried once for each plan; its answer is valid for
    /// the life of the instance.
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

    /// Like [`modifier_supports`](Self::modifier_supports), uncached, for a device with dma-bufs.
    fn dma_buf_supports(&self, plan: &ImagePlan) -> Result<Vec<ModifierSupport>, Failure> {
        let mut supports = Vec::new();
        for properties in self.modifier_properties(plan.format) {
            if let Some(support) = self.modifier_support(plan, &properties)?
                && (support.exportable || support.importable)
            {
                supports.push(support);
            }
        }
        Ok(supports)
    }

    /// What the device can do with a plan and a modifier; `None` if nothing.
    fn modifier_support(
        &self,
        plan: &ImagePlan,
        properties: &vk::DrmFormatModifierPropertiesEXT,
    ) -> Result<Option<ModifierSupport>, Failure> {
        let modifier = properties.drm_format_modifier;
        let Some(together) = self.ask(plan, modifier)? else {
            return Ok(None);
        };
        // Both are required: the format feature by
        // VUID-VkImageCreateInfo-imageCreateFormatFeatures-02260, and the query with the flag
        // because flags are parameters like any others. The memory of a plane cannot be dedicated
        // (VUID-VkMemoryDedicatedAllocateInfo-image-01797).
        let is_possible = plan.is_multi_planar()
            && properties
                .drm_format_modifier_tiling_features
                .contains(vk::FormatFeatureFlags::DISJOINT);
        let apart = if is_possible {
            self.ask(&plan.disjoint(), modifier)?
        } else {
            None
        };
        let disjoint = apart.is_some_and(|apart| {
            apart.allows(vk::ExternalMemoryFeatureFlags::IMPORTABLE)
                && !apart.allows(vk::ExternalMemoryFeatureFlags::DEDICATED_ONLY)
                && together.max_extent.fits(apart.max_extent)
        });
        Ok(Some(ModifierSupport {
            modifier: Modifier::new(modifier),
            plane_count: properties.drm_format_modifier_plane_count,
            exportable: together.allows(vk::ExternalMemoryFeatureFlags::EXPORTABLE),
            importable: together.allows(vk::ExternalMemoryFeatureFlags::IMPORTABLE),
            disjoint,
            max_extent: together.max_extent,
        }))
    }

    /// How many descriptors a combined image sampler of such an image needs.
    pub(crate) fn combined_descriptors(
        &self,
        plan: &ImagePlan,
        modifier: Modifier,
    ) -> Result<u32, Failure> {
        let mut ycbcr = vk::SamplerYcbcrConversionImageFormatProperties::default();
        let mut properties = vk::ImageFormatProperties2::default().push_next(&mut ycbcr);
        self.image_format_properties(plan, modifier.as_raw(), &mut properties)
            .named("vkGetPhysicalDeviceImageFormatProperties2")?;
        Ok(ycbcr.combined_image_sampler_descriptor_count.max(1))
    }

    /// Queries `vkGetPhysicalDeviceImageFormatProperties2` with the modifier, the handle type and
    /// the exact parameters; `None` if the driver does not support them.
    fn ask(&self, plan: &ImagePlan, modifier: u64) -> Result<Option<Answer>, Failure> {
        let mut external_properties = vk::ExternalImageFormatProperties::default();
        let mut properties =
            vk::ImageFormatProperties2::default().push_next(&mut external_properties);
        match self.image_format_properties(plan, modifier, &mut properties) {
            Err(vk::Result::ERROR_FORMAT_NOT_SUPPORTED) => return Ok(None),
            result => result.named("vkGetPhysicalDeviceImageFormatProperties2")?,
        }
        let extent = properties.image_format_properties.max_extent;
        let features = external_properties
            .external_memory_properties
            .external_memory_features;
        Ok(Some(Answer {
            features,
            max_extent: Extent::new(extent.width, extent.height),
        }))
    }

    fn image_format_properties(
        &self,
        plan: &ImagePlan,
        modifier: u64,
        properties: &mut vk::ImageFormatProperties2<'_>,
    ) -> Result<(), vk::Result> {
        let mut formats = vk::ImageFormatListCreateInfo::default().view_formats(&plan.view_formats);
        let mut external = vk::PhysicalDeviceExternalImageFormatInfo::default()
            .handle_type(vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT);
        let mut modifier_info = vk::PhysicalDeviceImageDrmFormatModifierInfoEXT::default()
            .drm_format_modifier(modifier)
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
        // SAFETY: the device is of this instance; all chained structures outlive the call.
        unsafe {
            self.instance()
                .raw()
                .get_physical_device_image_format_properties2(self.raw(), &info, properties)
        }
    }
}
