//! Images in dma-bufs of other exporters.

use std::os::fd::AsFd;
use std::sync::Arc;

use ash::vk;
use dmashare::{BufferDesc, DmaBuf, DmaBufMemory, ImportError, LayoutError, Placement};
use smallvec::SmallVec;

use crate::core::device_core::DeviceCore;
use crate::failure::Failure;
use crate::image::device_memory::{Dedicated, DeviceMemory, choose_type, importable_types};
use crate::image::probe_memory_planes;
use crate::image::shared_image::{Arrangement, SharedImage, explicit_planes};
use crate::physical_device::PhysicalDevice;
use crate::physical_device::image_plan::ImagePlan;
use crate::physical_device::modifier_support::ModifierSupport;

impl DeviceCore {
    /// Imports memory from another exporter.
    pub(crate) fn import_dmabuf(
        self: &Arc<Self>,
        desc: &BufferDesc,
        dmabuf: &DmaBuf,
        placement: Placement,
    ) -> Result<Arc<SharedImage>, ImportError> {
        let plan = self.check_import(desc, dmabuf)?;
        let image = match &self.functions.memory_host {
            Some(functions) => self.import_host_pointer(functions, &plan, dmabuf, placement)?,
            None => self.import_memory(&plan, dmabuf, placement)?,
        };
        tracing::debug!(
            device = self.name,
            buffer = desc.name,
            inode = dmabuf.id().inode(),
            modifier = %dmabuf.layout().modifier(),
            "image imported"
        );
        Ok(image)
    }

    /// Whether the device can import images of this description with modifier LINEAR, by the number
    /// of planes and the size. The memory itself is checked only at import.
    pub(crate) fn imports_linear(&self, desc: &BufferDesc) -> Result<bool, Failure> {
        let has_functions = self.functions.image_memory().is_ok();
        let Some(plan) = ImagePlan::new(desc).filter(|_| has_functions) else {
            return Ok(false);
        };
        if ImagePlan::check_srgb(desc).is_err() || plan.check_extent().is_err() {
            return Ok(false);
        }
        let planes = desc.format.info().map_or(0, |info| info.planes.len());
        let supports = self.physical.modifier_supports(&plan)?;
        Ok(supports.iter().any(|support| {
            support.importable
                && support.modifier.is_linear()
                && usize::try_from(support.plane_count) == Ok(planes)
                && desc.extent.fits(support.max_extent)
        }))
    }

    /// Checks everything that can be checked before the driver sees the memory.
    fn check_import(
        self: &Arc<Self>,
        desc: &BufferDesc,
        dmabuf: &DmaBuf,
    ) -> Result<ImagePlan, ImportError> {
        let importer = || self.name.clone();
        if self.functions.memory_host.is_none() {
            self.functions
                .image_memory()
                .map_err(|missing| ImportError::MissingFeature {
                    importer: importer(),
                    missing,
                })?;
        }
        let (format, extent) = (dmabuf.format(), dmabuf.extent());
        if (format, extent) != (desc.format, desc.extent) {
            return Err(LayoutError::DescMismatch {
                asked: (desc.format, desc.extent),
                given: (format, extent),
            }
            .into());
        }
        let layout = dmabuf.layout();
        let unsupported = || ImportError::UnsupportedFormat {
            importer: importer(),
            format,
            supported: self.physical.formats(desc.usage),
        };
        let plan = ImagePlan::new(desc).ok_or_else(unsupported)?;
        ImagePlan::check_srgb(desc).map_err(|none| none.import(&self.name))?;
        plan.check_extent()?;
        let supports = self.physical.modifier_supports(&plan);
        let supports = supports.map_err(|failure| failure.import(&self.name))?;
        let importable = || supports.iter().filter(|support| support.importable);
        if importable().next().is_none() {
            return Err(unsupported());
        }
        let modifier = layout.modifier();
        // The dma-buf's constructor has already refused INVALID, which no driver lists.
        let support = importable()
            .find(|support| support.modifier == modifier)
            .ok_or_else(|| ImportError::UnsupportedModifier {
                importer: importer(),
                format,
                modifier,
                supported: PhysicalDevice::modifier_values(importable()),
            })?;
        let expected = usize::try_from(support.plane_count).unwrap_or(usize::MAX);
        if layout.planes().len() != expected {
            return Err(ImportError::PlaneCount {
                importer: importer(),
                format,
                modifier,
                expected,
                given: layout.planes().len(),
            });
        }
        if layout.is_disjoint() {
            self.check_disjoint(&plan, support)?;
        }
        if !dmabuf.extent().fits(support.max_extent) {
            return Err(ImportError::TooLarge {
                importer: importer(),
                extent: dmabuf.extent(),
                maximum: support.max_extent,
            });
        }
        if self.physical.driver_name() == "llvmpipe" {
            check_room_for_blocks(&self.name, &plan, dmabuf)?;
        }
        Ok(if layout.is_disjoint() {
            plan.disjoint()
        } else {
            plan
        })
    }

    /// Checks that each plane can have a memory of its own.
    fn check_disjoint(
        self: &Arc<Self>,
        plan: &ImagePlan,
        support: &ModifierSupport,
    ) -> Result<(), ImportError> {
        let reason = if !plan.is_multi_planar() {
            Some(
                "Vulkan supports this only for the planes of a format, not for those added by a modifier",
            )
        } else if !support.disjoint {
            Some("the driver does not support VK_FORMAT_FEATURE_DISJOINT_BIT for such an image")
        } else if !probe_memory_planes::are_told_apart(self).map_err(|e| e.import(&self.name))? {
            Some("the driver binds the memory of every plane to the first plane")
        } else {
            None
        };
        match reason {
            Some(reason) => Err(ImportError::Disjoint {
                importer: self.name.clone(),
                format: plan.fourcc,
                reason,
            }),
            None => Ok(()),
        }
    }

    /// Creates the image and imports the memory. A failed step undoes the previous ones.
    fn import_memory(
        self: &Arc<Self>,
        plan: &ImagePlan,
        dmabuf: &DmaBuf,
        placement: Placement,
    ) -> Result<Arc<SharedImage>, ImportError> {
        let failed = |failure: Failure| failure.import(&self.name);
        let planes = explicit_planes(dmabuf.layout().planes());
        let arrangement = Arrangement::Explicit {
            modifier: dmabuf.layout().modifier().as_raw(),
            planes: &planes,
        };
        let mut image = SharedImage::create(self, plan, &arrangement).map_err(failed)?;
        let memories = dmabuf.memories();
        let planes = dmabuf.layout().planes();
        if plan.is_disjoint() {
            // A dma-buf that holds several planes is imported once for each: the memory is bound at
            // its start, and the plane's offset counts from there.
            let imported: Result<SmallVec<[DeviceMemory; 1]>, ImportError> = (0..)
                .zip(planes)
                .map(|(index, plane)| {
                    let requirements = image.plane_requirements(index);
                    let memory = &memories[plane.memory];
                    import_one(self, memory, requirements, None, placement)
                })
                .collect();
            image.bind_planes(imported?).map_err(failed)?;
        } else {
            let requirements = image.requirements();
            let dedicated = Some(image.dedicated());
            let memory = &memories[planes[0].memory];
            let imported = import_one(self, memory, requirements, dedicated, placement)?;
            image.bind(imported).map_err(failed)?;
        }
        image.create_views().map_err(failed)?;
        Ok(Arc::new(image))
    }
}

/// Imports one dma-buf for an image or a plane with these requirements.
fn import_one(
    core: &Arc<DeviceCore>,
    memory: &DmaBufMemory,
    requirements: vk::MemoryRequirements,
    dedicated: Option<Dedicated>,
    placement: Placement,
) -> Result<DeviceMemory, ImportError> {
    let failed = |failure: Failure| failure.import(&core.name);
    let functions =
        core.functions
            .buffer_memory()
            .map_err(|missing| ImportError::MissingFeature {
                importer: core.name.clone(),
                missing,
            })?;
    let importable = importable_types(core, functions, memory.as_fd()).map_err(failed)?;
    if memory.size() < requirements.size {
        return Err(ImportError::MemoryTooSmall {
            importer: core.name.clone(),
            required: requirements.size,
            actual: memory.size(),
        });
    }
    let memory_type = choose_type(
        core.physical.memory_types(),
        requirements.memory_type_bits & importable,
        &[],
    )
    .ok_or_else(|| ImportError::Unreachable {
        importer: core.name.clone(),
        placement,
        reason: format!(
            "no memory type serves both the image ({:#x}) and this dma-buf ({importable:#x})",
            requirements.memory_type_bits
        ),
    })?;
    let fd = memory.duplicate_fd()?;
    // Some drivers require 0 bytes for a plane that needs no memory of its own, but an allocation
    // cannot be empty (VUID-VkMemoryAllocateInfo-allocationSize-07899).
    let size = requirements.size.max(1);
    DeviceMemory::imported(core, fd, size, memory_type, dedicated).map_err(failed)
}

/// llvmpipe draws whole blocks of 4x4 pixels, also past the right and lower edges. It pads its own
/// memory for that, but for imported memory it requires only the size of the image, and then writes
/// past the end (a crash) or into the next row. Seen with Mesa up to 26.1; reading is not affected.
fn check_room_for_blocks(
    importer: &str,
    plan: &ImagePlan,
    dmabuf: &DmaBuf,
) -> Result<(), ImportError> {
    let layout = dmabuf.layout();
    let draws = plan.usage.contains(vk::ImageUsageFlags::COLOR_ATTACHMENT);
    let (Some(info), [plane], true) = (
        plan.fourcc.info(),
        layout.planes(),
        draws && layout.modifier().is_linear(),
    ) else {
        return Ok(());
    };
    let extent = dmabuf.extent();
    let row = info.planes[0].row_bytes(extent.width.next_multiple_of(4));
    let stride = u64::from(plane.stride);
    if stride < row {
        return Err(LayoutError::StrideTooSmall {
            plane: 0,
            stride: plane.stride,
            needed: row,
        }
        .into());
    }
    let rows = u64::from(extent.height.next_multiple_of(4));
    // The plane fits its memory, so the sum cannot overflow.
    let required = plane.offset + (rows - 1) * stride + row;
    let actual = dmabuf.memories()[plane.memory].size();
    if actual < required {
        return Err(ImportError::MemoryTooSmall {
            importer: importer.to_owned(),
            required,
            actual,
        });
    }
    Ok(())
}
