//! Images made in this device's memory and exported as dma-bufs.

use std::sync::Arc;
use std::time::Duration;

use ash::vk;
use dmashare::{
    Allocation, BufferDesc, DmaBuf, DmaBufMemory, ExportError, Extent, Modifier, Placement,
    PlaneLayout,
};
use smallvec::SmallVec;

use crate::device::Device;
use crate::error::Failure;
use crate::image::device_memory::{DeviceMemory, choose_type};
use crate::image::exported_planes;
use crate::image::{Arrangement, ImageInner};
use crate::physical_device::PhysicalDevice;
use crate::physical_device::image_plan::ImagePlan;
use crate::physical_device::modifier_support::ModifierSupport;

/// How long the export of an image for the CPU waits for the queue to reach its first release.
const FIRST_RELEASE_TIMEOUT: Duration = Duration::from_secs(10);

const LOCAL: vk::MemoryPropertyFlags = vk::MemoryPropertyFlags::DEVICE_LOCAL;
const VISIBLE: vk::MemoryPropertyFlags = vk::MemoryPropertyFlags::HOST_VISIBLE;

impl Device {
    /// What the device can export for a description; at least one entry, all large enough.
    pub(crate) fn exportable(
        &self,
        desc: &BufferDesc,
    ) -> Result<(ImagePlan, Vec<ModifierSupport>), ExportError> {
        desc.validate()?;
        let core = self.core();
        let exporter = || core.name.clone();
        core.functions
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
        ImagePlan::check_srgb(desc).map_err(|none| none.export(&core.name))?;
        plan.check_extent()?;
        let supports = core.physical.modifier_supports(&plan);
        let supports = supports.map_err(|failure| failure.export(&core.name))?;
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
        // Drivers list LINEAR first as often as last; it is the layout that performs worst.
        supports.sort_by_key(|support| support.modifier.is_linear());
        Ok((plan, supports))
    }

    /// Makes an image with one of `modifiers` and exports it. Its first release is owed until it is
    /// used ([`Exporter::prepare`](dmashare::Exporter::prepare)), but for one that the CPU may touch.
    pub(crate) fn export_image(
        &self,
        desc: &BufferDesc,
        modifiers: &[Modifier],
    ) -> Result<Allocation, ExportError> {
        let (plan, supports) = self.exportable(desc)?;
        let exported = self.create_exported(&plan, &supports, modifiers, Where::Anywhere)?;
        if plan.cpu
            && let Some(fence) = self.release_first(&exported.image)?
        {
            // Nobody is told when the CPU comes; what it writes must not be taken for undefined then.
            let released = fence.wait(FIRST_RELEASE_TIMEOUT);
            released.map_err(|error| ExportError::Device {
                exporter: self.core().name.clone(),
                operation: "vkWaitSemaphores",
                source: error.into(),
            })?;
        }
        tracing::debug!(
            device = self.core().name,
            buffer = desc.name,
            inode = exported.dmabuf.id().inode(),
            modifier = %exported.dmabuf.layout().modifier(),
            "image exported"
        );
        Ok(Allocation::new(
            exported.dmabuf,
            exported.placement,
            exported.image,
        ))
    }

    /// Makes an image with one of `modifiers`, and its dma-buf. The image is in layout `UNDEFINED`.
    pub(crate) fn create_exported(
        &self,
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
                exporter: self.core().name.clone(),
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

    /// Makes an image without memory whose modifier and planes are known.
    fn create_planes(
        &self,
        plan: &ImagePlan,
        supports: &[ModifierSupport],
        modifiers: &[u64],
    ) -> Result<(ImageInner, SmallVec<[PlaneLayout; 4]>), ExportError> {
        let core = self.core();
        let failed = |failure: Failure| failure.export(&core.name);
        let (_, functions) =
            core.functions
                .image_memory()
                .map_err(|missing| ExportError::MissingFeature {
                    exporter: core.name.clone(),
                    missing,
                })?;
        let mut image =
            ImageInner::create(core, plan, &Arrangement::AnyOf(modifiers)).map_err(failed)?;
        let mut properties = vk::ImageDrmFormatModifierPropertiesEXT::default();
        // SAFETY: the image is alive and has modifier tiling.
        let result = unsafe {
            functions.get_image_drm_format_modifier_properties(image.raw, &mut properties)
        };
        core.check("vkGetImageDrmFormatModifierPropertiesEXT", result)
            .map_err(failed)?;
        image.modifier = Modifier::new(properties.drm_format_modifier);
        // The driver chose from our list, so there is an entry; INVALID cannot be in it.
        let support = supports
            .iter()
            .find(|support| support.modifier == image.modifier)
            .ok_or_else(|| ExportError::UnsupportedModifier {
                exporter: core.name.clone(),
                format: plan.fourcc,
                asked: vec![image.modifier],
                offered: PhysicalDevice::modifier_values(supports),
            })?;
        let planes = exported_planes::reported(&image, support.plane_count);
        match exported_planes::overlap(plan, &planes) {
            None => Ok((image, planes)),
            Some(_) if image.modifier.is_linear() => {
                exported_planes::placed(plan, image).map_err(failed)
            }
            Some(plane) => Err(ExportError::Device {
                exporter: core.name.clone(),
                operation: "vkGetImageSubresourceLayout",
                source: OverlappingPlanes { plane }.into(),
            }),
        }
    }

    /// Steps up to a bound image with its views.
    fn give_memory(
        &self,
        mut image: ImageInner,
        place: Where,
    ) -> Result<(ImageInner, Placement), ExportError> {
        let core = self.core();
        let failed = |failure: Failure| failure.export(&core.name);
        let requirements = image.requirements();
        let preferred: &[_] = match (image.plan.cpu, place) {
            (true, Where::Anywhere) => &[LOCAL | VISIBLE, VISIBLE, LOCAL],
            (true, Where::Local) => &[LOCAL | VISIBLE, LOCAL],
            (false, _) => &[LOCAL],
        };
        let types = core.physical.memory_types();
        let memory_type = choose_type(types, requirements.memory_type_bits, preferred)
            .ok_or(Failure {
                operation: "choosing a memory type",
                source: vk::Result::ERROR_FEATURE_NOT_PRESENT,
            })
            .map_err(failed)?;
        let is_local = usize::try_from(memory_type)
            .is_ok_and(|index| types[index].property_flags.contains(LOCAL));
        let memory =
            DeviceMemory::exportable(core, requirements.size, memory_type, image.dedicated())
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

    /// Exports the memory and checks the dma-buf's real size.
    fn dmabuf_of(&self, image: &ImageInner, planes: &[PlaneLayout]) -> Result<DmaBuf, ExportError> {
        let core = self.core();
        let plan = &image.plan;
        let functions =
            core.functions
                .buffer_memory()
                .map_err(|missing| ExportError::MissingFeature {
                    exporter: core.name.clone(),
                    missing,
                })?;
        let Some(memory) = image.memory() else {
            return Err(Failure {
                operation: "vkGetMemoryFdKHR",
                source: vk::Result::ERROR_UNKNOWN,
            }
            .export(&core.name));
        };
        let required = memory.size();
        let fd = memory
            .export_fd(functions)
            .map_err(|failure| failure.export(&core.name))?;
        let memory = DmaBufMemory::new(fd)?;
        check_size(&core.name, &memory, required)?;
        Ok(DmaBuf::from_memories(
            plan.fourcc,
            plan.extent,
            image.modifier,
            planes,
            [memory],
        )?)
    }
}

/// Which of the device's memory an exported image may be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// What suits its uses best.
    Anywhere,
    /// Memory of the device itself, where it has any for such an image.
    Local,
}

/// An image that was made and exported just now.
pub(crate) struct Exported {
    pub(crate) image: Arc<ImageInner>,
    pub(crate) dmabuf: DmaBuf,
    pub(crate) placement: Placement,
}

/// The driver says that a plane lies where the one before it does. Importers would read the wrong
/// bytes, and nobody but the driver can lay out an image with such a modifier.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the driver reports plane {plane} inside the plane before it, so nobody could import it")]
struct OverlappingPlanes {
    plane: usize,
}

/// The largest extent among them, by area; `None` if there are none.
pub(crate) fn largest(supports: &[ModifierSupport]) -> Option<Extent> {
    supports
        .iter()
        .map(|support| support.max_extent)
        .max_by_key(|extent| u64::from(extent.width) * u64::from(extent.height))
}

/// A driver that exports less than the image needs would let its importers read past the end.
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
