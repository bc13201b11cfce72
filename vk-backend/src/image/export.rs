//! Images in this device's memory, exported as dma-bufs.

use std::sync::Arc;

use ash::vk;
use dmashare::{
    BufferDesc, DmaBuf, DmaBufMemory, ExportError, Extent, Modifier, Placement, PlaneLayout,
};
use smallvec::SmallVec;

use crate::core::device_core::DeviceCore;
use crate::failure::Failure;
use crate::image::device_memory::{DeviceMemory, choose_type};
use crate::image::exported_planes;
use crate::image::shared_image::{Arrangement, SharedImage};
use crate::physical_device::PhysicalDevice;
use crate::physical_device::image_plan::ImagePlan;
use crate::physical_device::modifier_support::ModifierSupport;

const LOCAL: vk::MemoryPropertyFlags = vk::MemoryPropertyFlags::DEVICE_LOCAL;
const VISIBLE: vk::MemoryPropertyFlags = vk::MemoryPropertyFlags::HOST_VISIBLE;

impl DeviceCore {
    /// What the device can export for a description: at least one entry, each with a sufficient
    /// maximum extent.
    pub(crate) fn exportable(
        &self,
        desc: &BufferDesc,
    ) -> Result<(ImagePlan, Vec<ModifierSupport>), ExportError> {
        desc.validate()?;
        let exporter = || self.name.clone();
        self.functions
            .image_memory()
            .map_err(|missing| ExportError::MissingFeature {
                exporter: exporter(),
                missing,
            })?;
        let unsupported = || ExportError::UnsupportedFormat {
            exporter: exporter(),
            format: desc.format,
            usage: desc.usage,
        };
        let plan = ImagePlan::new(desc).ok_or_else(unsupported)?;
        ImagePlan::check_srgb(desc).map_err(|none| none.export(&self.name))?;
        plan.check_extent()?;
        let supports = self.physical.modifier_supports(&plan);
        let supports = supports.map_err(|failure| failure.export(&self.name))?;
        let mut supports: Vec<ModifierSupport> = supports
            .iter()
            .filter(|support| support.exportable)
            .copied()
            .collect();
        let largest = largest(&supports).ok_or_else(unsupported)?;
        supports.retain(|support| desc.extent.fits(support.max_extent));
        if supports.is_empty() {
            return Err(ExportError::TooLarge {
                exporter: exporter(),
                extent: desc.extent,
                maximum: largest,
            });
        }
        // Some drivers list LINEAR first, but it performs worst.
        supports.sort_by_key(|support| support.modifier.is_linear());
        Ok((plan, supports))
    }

    /// Creates an image with one of `modifiers`, and its dma-buf. The image is in layout
    /// `UNDEFINED`.
    pub(crate) fn create_exported(
        self: &Arc<Self>,
        plan: &ImagePlan,
        supports: &[ModifierSupport],
        modifiers: &[Modifier],
        place: Where,
    ) -> Result<Exported, ExportError> {
        let chosen: SmallVec<[u64; 8]> = supports
            .iter()
            .filter(|support| modifiers.contains(&support.modifier))
            .map(|support| support.modifier.as_raw())
            .collect();
        if chosen.is_empty() {
            return Err(ExportError::UnsupportedModifier {
                exporter: self.name.clone(),
                format: plan.fourcc,
                asked: modifiers.to_vec(),
                offered: PhysicalDevice::modifier_values(supports),
            });
        }
        let (image, planes) = self.create_planes(plan, supports, &chosen)?;
        let (image, placement) = self.give_memory(image, place)?;
        let dmabuf = self.dmabuf_of(&image, &planes)?;
        Ok(Exported {
            image: Arc::new(image),
            dmabuf,
            placement,
        })
    }

    /// Creates an image without memory, and determines its modifier and planes.
    fn create_planes(
        self: &Arc<Self>,
        plan: &ImagePlan,
        supports: &[ModifierSupport],
        modifiers: &[u64],
    ) -> Result<(SharedImage, SmallVec<[PlaneLayout; 4]>), ExportError> {
        let failed = |failure: Failure| failure.export(&self.name);
        let (_, functions) =
            self.functions
                .image_memory()
                .map_err(|missing| ExportError::MissingFeature {
                    exporter: self.name.clone(),
                    missing,
                })?;
        let mut image =
            SharedImage::create(self, plan, &Arrangement::AnyOf(modifiers)).map_err(failed)?;
        let mut properties = vk::ImageDrmFormatModifierPropertiesEXT::default();
        // SAFETY: the image is alive and has modifier tiling.
        let result = unsafe {
            functions.get_image_drm_format_modifier_properties(image.raw, &mut properties)
        };
        self.check("vkGetImageDrmFormatModifierPropertiesEXT", result)
            .map_err(failed)?;
        image.modifier = Modifier::new(properties.drm_format_modifier);
        // The driver chose from our list, so there is an entry; INVALID cannot be in it.
        let support = supports
            .iter()
            .find(|support| support.modifier == image.modifier)
            .ok_or_else(|| ExportError::UnsupportedModifier {
                exporter: self.name.clone(),
                format: plan.fourcc,
                asked: vec![image.modifier],
                offered: PhysicalDevice::modifier_values(supports),
            })?;
        let planes = exported_planes::reported(&image, support.plane_count);
        let planes = planes.ok_or_else(|| ExportError::Device {
            exporter: self.name.clone(),
            operation: "vkGetImageSubresourceLayout",
            source: "the driver reports no valid stride".into(),
        })?;
        match exported_planes::overlap(plan, &planes) {
            None => Ok((image, planes)),
            Some(_) if image.modifier.is_linear() => {
                exported_planes::placed(plan, image).map_err(failed)
            }
            Some(plane) => Err(ExportError::Device {
                exporter: self.name.clone(),
                operation: "vkGetImageSubresourceLayout",
                source: OverlappingPlanes { plane }.into(),
            }),
        }
    }

    /// Allocates and binds the image's memory, and creates its views.
    fn give_memory(
        self: &Arc<Self>,
        mut image: SharedImage,
        place: Where,
    ) -> Result<(SharedImage, Placement), ExportError> {
        let failed = |failure: Failure| failure.export(&self.name);
        let requirements = image.requirements();
        let preferred: &[_] = match (image.plan.cpu, place) {
            (true, Where::Anywhere) => &[LOCAL | VISIBLE, VISIBLE, LOCAL],
            (true, Where::Local) => &[LOCAL | VISIBLE, LOCAL],
            (false, _) => &[LOCAL],
        };
        let types = self.physical.memory_types();
        let memory_type = choose_type(types, requirements.memory_type_bits, preferred)
            .ok_or(Failure {
                operation: "choosing a memory type",
                source: vk::Result::ERROR_FEATURE_NOT_PRESENT,
            })
            .map_err(failed)?;
        let is_local = usize::try_from(memory_type)
            .is_ok_and(|index| types[index].property_flags.contains(LOCAL));
        let memory =
            DeviceMemory::exportable(self, requirements.size, memory_type, image.dedicated())
                .map_err(failed)?;
        image.bind(memory).map_err(failed)?;
        image.create_views().map_err(failed)?;
        let placement = if is_local {
            Placement::Device
        } else {
            Placement::Host
        };
        Ok((image, placement))
    }

    /// Exports the memory and checks the real size of the dma-buf.
    fn dmabuf_of(
        &self,
        image: &SharedImage,
        planes: &[PlaneLayout],
    ) -> Result<DmaBuf, ExportError> {
        let plan = &image.plan;
        let functions =
            self.functions
                .buffer_memory()
                .map_err(|missing| ExportError::MissingFeature {
                    exporter: self.name.clone(),
                    missing,
                })?;
        let Some(memory) = image.memory() else {
            return Err(Failure {
                operation: "vkGetMemoryFdKHR",
                source: vk::Result::ERROR_UNKNOWN,
            }
            .export(&self.name));
        };
        let required = memory.size();
        let fd = memory
            .export_fd(functions)
            .map_err(|failure| failure.export(&self.name))?;
        let memory = DmaBufMemory::new(fd)?;
        check_size(&self.name, &memory, required)?;
        Ok(DmaBuf::from_memories(
            plan.fourcc,
            plan.extent,
            image.modifier,
            planes,
            [memory],
        )?)
    }
}

/// Which memory an exported image may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// The memory that suits its uses best.
    Anywhere,
    /// Device-local memory, if the device has any for such an image.
    Local,
}

/// A newly exported image.
pub(crate) struct Exported {
    pub(crate) image: Arc<SharedImage>,
    pub(crate) dmabuf: DmaBuf,
    pub(crate) placement: Placement,
}

/// The driver reports a plane at the place of the one before it. Importers would read the wrong
/// bytes, and only the driver knows the layout of an image with such a modifier.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "the driver reports plane {plane} inside the plane before it, so no device could import it"
)]
struct OverlappingPlanes {
    plane: usize,
}

/// The largest maximum extent by area; `None` if there are no entries.
pub(crate) fn largest(supports: &[ModifierSupport]) -> Option<Extent> {
    supports
        .iter()
        .map(|support| support.max_extent)
        .max_by_key(|extent| u64::from(extent.width) * u64::from(extent.height))
}

/// Refuses a dma-buf smaller than the image needs, because importers would access it past the end.
pub(crate) fn check_size(
    exporter: &str,
    memory: &DmaBufMemory,
    required: u64,
) -> Result<(), ExportError> {
    if memory.size() < required {
        return Err(ExportError::MemoryTooSmall {
            exporter: exporter.to_owned(),
            required,
            actual: memory.size(),
        });
    }
    Ok(())
}
