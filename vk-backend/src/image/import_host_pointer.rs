//! Images in host memory, for a driver that takes pointers and no dma-bufs.
//!
//! A renderer on the CPU may lack `VK_EXT_external_memory_dma_buf` and have
//! `VK_EXT_external_memory_host` (SwiftShader does). For it a linear dma-buf is mapped into the process
//! and imported by its address ([`MappedMemory`]). There is no `VkSubresourceLayout` to give along: the
//! driver lays a linear image out in its own way, and the buffer must lie just so. [`Device::constraint`]
//! demands that, so that a buffer that moves is moved there, and another gets a shadow
//! ([`dmashare::route`]) whose rows lie as the driver wants them.
//!
//! Nobody calls `DMA_BUF_IOCTL_SYNC` for the driver. So this is for devices of the type CPU only, for
//! pages of the host only, and on machines only where all devices see the CPU's caches: elsewhere what
//! a device has written may not be seen.
//!
//! [`Device::constraint`]: dmashare::Importer::constraint

use std::io;
use std::sync::Arc;

use ash::vk;
use dmashare::{
    AccessConstraint, BufferDesc, DmaBuf, DmaBufError, DmaBufMemory, Extent, Fourcc, ImportError,
    MappedMemory, Modifier, Placement, Placements,
};
use nix::errno::Errno;

use crate::device::Device;
use crate::error::{Failure, Named, UnfitForPointer};
use crate::image::device_memory::{DeviceMemory, choose_type, types_of_pointer};
use crate::image::{Arrangement, ImageInner};
use crate::physical_device::PhysicalDevice;
use crate::physical_device::extensions::{EXTERNAL_MEMORY_DMA_BUF, EXTERNAL_MEMORY_HOST};
use crate::physical_device::image_plan::ImagePlan;
use crate::physical_device::modifier_support::ModifierSupport;

/// The handle type of such memory.
pub(crate) const HOST_ALLOCATION: vk::ExternalMemoryHandleTypeFlags =
    vk::ExternalMemoryHandleTypeFlags::HOST_ALLOCATION_EXT;

/// Where such memory may be: pages of the host. A device's own may be uncached or not there at all, and
/// of an unknown place nothing is known.
pub(crate) const PLACEMENTS: Placements = Placements::HOST.union(Placements::SHMEM);

/// Whether devices see the CPU's caches without being told.
const COHERENT: bool = cfg!(any(target_arch = "x86", target_arch = "x86_64"));

impl PhysicalDevice {
    /// Whether it imports linear images of one plane by a pointer to host memory, because it has no
    /// dma-bufs: a renderer on the CPU with `VK_EXT_external_memory_host`, on a machine whose devices
    /// see the CPU's caches. It takes memory in [`Placement::Host`] and [`Placement::Shmem`] whose rows
    /// lie as its driver lays them out; [`dmashare::route`] makes a shadow of everything else. Such a
    /// device exports nothing.
    pub fn imports_by_host_pointer(&self) -> bool {
        COHERENT
            && self.device_type() == vk::PhysicalDeviceType::CPU
            && self.api_version() >= vk::API_VERSION_1_3
            && !self.has_extension(EXTERNAL_MEMORY_DMA_BUF.name)
            && self.has_extension(EXTERNAL_MEMORY_HOST.name)
    }

    /// SwiftShader offers the extension and imports by pointer, but when it is asked, it says of no image
    /// and no buffer that it can: the handle type is missing in its answer. Taken at its word, it could
    /// use the extension for nothing (VUID-VkImageCreateInfo-pNext-00990,
    /// VUID-VkImportMemoryHostPointerInfoEXT-handleType-01747). Tests compare the pixels.
    fn is_silent_about_pointers(&self) -> bool {
        self.driver_name().starts_with("SwiftShader")
    }

    /// What the device can do with images of this plan in memory that is imported by pointer; `None`
    /// where it can do nothing. Only one plane: of several, the driver would choose the offsets, too.
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
        // (VUID-VkMemoryDedicatedAllocateInfo-image-02964), an import by pointer whole pages.
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

impl Device {
    /// What memory must be for the driver to take a pointer to it; no demand of a device that imports
    /// dma-bufs. Makes an image, without memory, to see how the driver lays it out.
    pub(crate) fn host_pointer_constraint(&self, desc: &BufferDesc) -> AccessConstraint {
        let core = self.core();
        if core.functions.memory_host.is_none() {
            return AccessConstraint::default();
        }
        let mut constraint = AccessConstraint::placements(PLACEMENTS);
        constraint.modifiers = Some(vec![Modifier::LINEAR]);
        constraint.stride = self.linear_stride(desc);
        let rows = match constraint.stride {
            Some(stride) => format!(", with rows exactly {stride} bytes apart"),
            None => String::new(),
        };
        let because = format!(
            "{} lacks {} and takes a pointer to linear images in {PLACEMENTS} instead{rows}",
            core.name, EXTERNAL_MEMORY_DMA_BUF.text,
        );
        constraint.because = Some(because.into());
        constraint
    }

    /// Bytes between the rows of a linear image as the driver lays it out; `None` if it makes no such
    /// image, or cannot now: the import looks again, and says what is wrong.
    fn linear_stride(&self, desc: &BufferDesc) -> Option<u32> {
        let core = self.core();
        let plan = ImagePlan::new(desc)?;
        let supports = core.physical.modifier_supports(&plan).ok()?;
        let is_large_enough =
            |support: &ModifierSupport| support.importable && desc.extent.fits(support.max_extent);
        supports.iter().find(|support| is_large_enough(support))?;
        let image = ImageInner::create(core, &plan, &Arrangement::HostPointer).ok()?;
        u32::try_from(image.linear_layout().row_pitch).ok()
    }

    /// Maps the memory, makes the image and imports the pages. Every step is undone when a later one
    /// fails.
    pub(crate) fn import_host_pointer(
        &self,
        functions: &ash::ext::external_memory_host::Device,
        plan: &ImagePlan,
        dmabuf: &DmaBuf,
        placement: Placement,
    ) -> Result<Arc<ImageInner>, ImportError> {
        let core = self.core();
        let failed = |failure: Failure| failure.import(&core.name);
        let unfit = |unfit: UnfitForPointer| unfit.import(&core.name);
        if !PLACEMENTS.has(placement) {
            return Err(ImportError::Unreachable {
                importer: core.name.clone(),
                placement,
                reason: format!("it takes pointers, and only to {PLACEMENTS}"),
            });
        }
        let (memory, plane) = (&dmabuf.memories()[0], dmabuf.layout().planes()[0]);
        let mut image =
            ImageInner::create(core, plan, &Arrangement::HostPointer).map_err(failed)?;
        let (own, requirements) = (image.linear_layout(), image.requirements());
        if own.row_pitch != u64::from(plane.stride) {
            return Err(unfit(UnfitForPointer::Stride {
                stride: plane.stride,
                taken: own.row_pitch,
            }));
        }
        let offset = plane.offset.checked_sub(own.offset);
        let offset = offset
            .filter(|offset| offset.is_multiple_of(requirements.alignment.max(1)))
            .ok_or_else(|| {
                unfit(UnfitForPointer::Offset {
                    offset: plane.offset,
                    own: own.offset,
                    alignment: requirements.alignment,
                })
            })?;
        let mapping = map(&core.name, memory)?;
        let page = core.physical.host_pointer_alignment().max(1);
        if !mapping.address().addr().get().is_multiple_of(page) {
            return Err(unfit(UnfitForPointer::Address { alignment: page }));
        }
        // VUID-VkMemoryAllocateInfo-allocationSize-01745: whole pages, of which the last may not be
        // there.
        let size = mapping.size().get() / page * page;
        // The plane fits its memory, so the sum is far from overflowing.
        let required = offset + requirements.size;
        if usize::try_from(required).map_or(true, |required| size < required) {
            return Err(ImportError::MemoryTooSmall {
                importer: core.name.clone(),
                required,
                actual: memory.size(),
            });
        }
        let importable = types_of_pointer(core, functions, mapping.address()).map_err(failed)?;
        let memory_type = choose_type(
            core.physical.memory_types(),
            requirements.memory_type_bits & importable,
            &[],
        )
        .ok_or_else(|| ImportError::Unreachable {
            importer: core.name.clone(),
            placement,
            reason: format!(
                "no memory type serves both the image ({:#x}) and its pages ({importable:#x})",
                requirements.memory_type_bits
            ),
        })?;
        let memory =
            DeviceMemory::of_pointer(core, mapping, size as u64, memory_type).map_err(failed)?;
        image.bind_at(memory, offset).map_err(failed)?;
        image.create_views().map_err(failed)?;
        Ok(Arc::new(image))
    }
}

/// Maps a memory. That it cannot be mapped, or not for writing, is a refusal; that there is no room may
/// pass.
fn map(importer: &str, memory: &DmaBufMemory) -> Result<MappedMemory, ImportError> {
    MappedMemory::new(memory).map_err(|error| match error {
        DmaBufError::Os { operation, source } if is_unmappable(&source) => ImportError::Refused {
            importer: importer.to_owned(),
            operation,
            source: source.into(),
        },
        error => error.into(),
    })
}

/// What `dma_buf_mmap_internal` and mmap(2) say of a dma-buf that has no mmap, or is open for reading.
fn is_unmappable(error: &io::Error) -> bool {
    [Errno::EINVAL, Errno::EACCES, Errno::EPERM, Errno::ENODEV]
        .iter()
        .any(|errno| error.raw_os_error() == Some(*errno as i32))
}
