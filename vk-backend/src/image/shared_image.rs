//! A `VkImage` with its memory and its views.

use std::fmt;
use std::sync::Arc;

use ash::vk;
use dmashare::{BufferDesc, Modifier, PlaneLayout};
use smallvec::SmallVec;

use crate::core::barrier::WHOLE_IMAGE;
use crate::core::device_core::DeviceCore;
use crate::failure::Failure;
use crate::image::device_memory::{Dedicated, DeviceMemory};
use crate::image::first_release_state::FirstRelease;
use crate::physical_device::format::has_unused_alpha;
use crate::physical_device::host_pointer_support::HOST_ALLOCATION;
use crate::physical_device::image_plan::ImagePlan;

/// The memory planes of an image, whatever its format.
const MEMORY_PLANE_ASPECTS: [vk::ImageAspectFlags; 4] = [
    vk::ImageAspectFlags::MEMORY_PLANE_0_EXT,
    vk::ImageAspectFlags::MEMORY_PLANE_1_EXT,
    vk::ImageAspectFlags::MEMORY_PLANE_2_EXT,
    vk::ImageAspectFlags::MEMORY_PLANE_3_EXT,
];

/// The arrangement of the planes of an image to be created.
pub(crate) enum Arrangement<'a> {
    /// The driver chooses among these modifiers.
    AnyOf(&'a [u64]),
    /// The given layout, as made by another exporter.
    Explicit {
        modifier: u64,
        planes: &'a [vk::SubresourceLayout],
    },
    /// The driver's own linear layout, for memory imported by pointer.
    HostPointer,
}

/// Converts planes to Vulkan's structures, for [`Arrangement::Explicit`].
pub(crate) fn explicit_planes(planes: &[PlaneLayout]) -> SmallVec<[vk::SubresourceLayout; 4]> {
    let planes = planes.iter().map(|plane| vk::SubresourceLayout {
        offset: plane.offset,
        // VUID-VkImageDrmFormatModifierExplicitCreateInfoEXT-size-02267
        size: 0,
        row_pitch: u64::from(plane.stride),
        array_pitch: 0,
        depth_pitch: 0,
    });
    planes.collect()
}

/// A `VkImage` with its memory and views. It may be dropped at any stage of its construction
/// without leaving anything behind.
pub(crate) struct SharedImage {
    pub(crate) core: Arc<DeviceCore>,
    pub(crate) plan: ImagePlan,
    pub(crate) modifier: Modifier,
    pub(crate) raw: vk::Image,
    pub(crate) first_release: FirstRelease,
    pub(super) view: vk::ImageView,
    pub(super) sampled_view: vk::ImageView,
    /// One, or one for each plane. They are dropped after `Drop::drop` has destroyed what is bound
    /// to them.
    memories: SmallVec<[DeviceMemory; 1]>,
}

impl SharedImage {
    /// Calls `vkCreateImage`; the image has no memory yet.
    pub(crate) fn create(
        core: &Arc<DeviceCore>,
        plan: &ImagePlan,
        arrangement: &Arrangement<'_>,
    ) -> Result<Self, Failure> {
        let mut formats = vk::ImageFormatListCreateInfo::default().view_formats(&plan.view_formats);
        let (tiling, handle_type) = match arrangement {
            Arrangement::HostPointer => (vk::ImageTiling::LINEAR, HOST_ALLOCATION),
            Arrangement::AnyOf(_) | Arrangement::Explicit { .. } => (
                vk::ImageTiling::DRM_FORMAT_MODIFIER_EXT,
                vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT,
            ),
        };
        let mut external = vk::ExternalMemoryImageCreateInfo::default().handle_types(handle_type);
        let mut list = vk::ImageDrmFormatModifierListCreateInfoEXT::default();
        let mut explicit = vk::ImageDrmFormatModifierExplicitCreateInfoEXT::default();
        let mut info = vk::ImageCreateInfo::default()
            .flags(plan.flags)
            .image_type(vk::ImageType::TYPE_2D)
            .format(plan.format)
            .extent(vk::Extent3D {
                width: plan.extent.width,
                height: plan.extent.height,
                depth: 1,
            })
            .mip_levels(1)
            .array_layers(1)
            .samples(vk::SampleCountFlags::TYPE_1)
            .tiling(tiling)
            .usage(plan.usage)
            .sharing_mode(vk::SharingMode::EXCLUSIVE)
            .initial_layout(vk::ImageLayout::UNDEFINED)
            .push_next(&mut external);
        if plan.is_mutable() {
            info = info.push_next(&mut formats);
        }
        match arrangement {
            Arrangement::AnyOf(modifiers) => {
                list = list.drm_format_modifiers(modifiers);
                info = info.push_next(&mut list);
            }
            Arrangement::Explicit { modifier, planes } => {
                explicit = explicit
                    .drm_format_modifier(*modifier)
                    .plane_layouts(planes);
                info = info.push_next(&mut explicit);
            }
            Arrangement::HostPointer => {}
        }
        // SAFETY: the device is alive, the chained structures outlive the call, and the device has
        // reported support for an image of exactly this plan.
        let result = unsafe { core.raw.create_image(&info, None) };
        Ok(Self {
            core: core.clone(),
            plan: plan.clone(),
            modifier: match arrangement {
                Arrangement::Explicit { modifier, .. } => Modifier::new(*modifier),
                Arrangement::AnyOf(_) => Modifier::INVALID,
                Arrangement::HostPointer => Modifier::LINEAR,
            },
            raw: core.check("vkCreateImage", result)?,
            first_release: match arrangement {
                Arrangement::AnyOf(_) => FirstRelease::owed(),
                Arrangement::Explicit { .. } | Arrangement::HostPointer => FirstRelease::over(),
            },
            view: vk::ImageView::null(),
            sampled_view: vk::ImageView::null(),
            memories: SmallVec::new(),
        })
    }

    /// The image's memory requirements. Allocations are always dedicated here, because some drivers
    /// require it without saying so; only this form of the query knows of dedicated memory.
    pub(crate) fn requirements(&self) -> vk::MemoryRequirements {
        let info = vk::ImageMemoryRequirementsInfo2::default().image(self.raw);
        let mut dedicated = vk::MemoryDedicatedRequirements::default();
        let mut requirements = vk::MemoryRequirements2::default().push_next(&mut dedicated);
        // SAFETY: the image is alive and not disjoint.
        unsafe {
            self.core
                .raw
                .get_image_memory_requirements2(&info, &mut requirements);
        }
        requirements.memory_requirements
    }

    /// Whether the image can be used as `desc` says. The exporter may have created it for more.
    pub(crate) fn serves(&self, desc: &BufferDesc) -> bool {
        ImagePlan::new(desc).is_some_and(|wanted| {
            let plan = &self.plan;
            let mut views = wanted.view_formats.iter();
            (plan.fourcc, plan.extent) == (wanted.fourcc, wanted.extent)
                && plan.usage.contains(wanted.usage)
                && views.all(|format| plan.view_formats.contains(format))
        })
    }

    /// Memory for this image is dedicated to this.
    pub(crate) fn dedicated(&self) -> Dedicated {
        Dedicated::Image(self.raw)
    }

    /// Binds the memory and keeps it alive.
    pub(crate) fn bind(&mut self, memory: DeviceMemory) -> Result<(), Failure> {
        self.bind_at(memory, 0)
    }

    /// Binds memory in which the image begins at `offset`, a multiple of its alignment, with enough
    /// room after it.
    pub(crate) fn bind_at(&mut self, memory: DeviceMemory, offset: u64) -> Result<(), Failure> {
        let raw = memory.raw();
        self.memories.push(memory);
        // SAFETY: the memory was made for this image, which has none yet.
        let result = unsafe { self.core.raw.bind_image_memory(self.raw, raw, offset) };
        self.core.check("vkBindImageMemory", result)
    }

    /// The layout of the only plane of an image with [`Arrangement::HostPointer`].
    pub(crate) fn linear_layout(&self) -> vk::SubresourceLayout {
        let subresource = vk::ImageSubresource::default().aspect_mask(vk::ImageAspectFlags::COLOR);
        // SAFETY: the image has linear tiling and one plane of color
        // (VUID-vkGetImageSubresourceLayout-image-07790, -format-08886).
        unsafe {
            self.core
                .raw
                .get_image_subresource_layout(self.raw, subresource)
        }
    }

    /// The memory requirements of a plane of a disjoint image.
    pub(crate) fn plane_requirements(&self, plane: usize) -> vk::MemoryRequirements {
        let mut aspect = vk::ImagePlaneMemoryRequirementsInfo::default()
            .plane_aspect(MEMORY_PLANE_ASPECTS[plane.min(3)]);
        let info = vk::ImageMemoryRequirementsInfo2::default()
            .image(self.raw)
            .push_next(&mut aspect);
        let mut requirements = vk::MemoryRequirements2::default();
        // SAFETY: the image is alive and disjoint, and with modifier tiling its planes are named by
        // these aspects (VUID-VkImagePlaneMemoryRequirementsInfo-planeAspect-02282).
        unsafe {
            self.core
                .raw
                .get_image_memory_requirements2(&info, &mut requirements);
        }
        requirements.memory_requirements
    }

    /// Binds a memory to each plane of a disjoint image, all in one call
    /// (VUID-vkBindImageMemory2-pBindInfos-02858), and keeps them alive.
    pub(crate) fn bind_planes(
        &mut self,
        memories: SmallVec<[DeviceMemory; 1]>,
    ) -> Result<(), Failure> {
        // They stay until the image is destroyed, even if only some of them were bound.
        self.memories = memories;
        let mut aspects: SmallVec<[_; 4]> = MEMORY_PLANE_ASPECTS
            .iter()
            .map(|aspect| vk::BindImagePlaneMemoryInfo::default().plane_aspect(*aspect))
            .take(self.memories.len())
            .collect();
        let infos: SmallVec<[_; 4]> = self
            .memories
            .iter()
            .zip(&mut aspects)
            .map(|(memory, aspect)| {
                vk::BindImageMemoryInfo::default()
                    .image(self.raw)
                    .memory(memory.raw())
                    .push_next(aspect)
            })
            .collect();
        // SAFETY: the image is alive, disjoint and has no memory yet; there is a memory for each of its
        // planes, of the type and size that the plane needs.
        let result = unsafe { self.core.raw.bind_image_memory2(&infos) };
        self.core.check("vkBindImageMemory2", result)
    }

    pub(crate) fn memory(&self) -> Option<&DeviceMemory> {
        self.memories.first()
    }

    /// The layout of a plane in its memory.
    pub(crate) fn memory_plane(&self, plane: usize) -> vk::SubresourceLayout {
        let aspect = MEMORY_PLANE_ASPECTS[plane.min(3)];
        let subresource = vk::ImageSubresource::default().aspect_mask(aspect);
        // SAFETY: the image has modifier tiling, so its planes are named by these aspects
        // (VUID-vkGetImageSubresourceLayout-tiling-09433).
        unsafe {
            self.core
                .raw
                .get_image_subresource_layout(self.raw, subresource)
        }
    }

    fn create_view(
        &self,
        alpha: vk::ComponentSwizzle,
        usage: vk::ImageUsageFlags,
    ) -> Result<vk::ImageView, Failure> {
        let mut usage = vk::ImageViewUsageCreateInfo::default().usage(usage);
        let info = vk::ImageViewCreateInfo::default()
            .image(self.raw)
            .view_type(vk::ImageViewType::TYPE_2D)
            .format(self.plan.format)
            .components(vk::ComponentMapping::default().a(alpha))
            .subresource_range(WHOLE_IMAGE)
            .push_next(&mut usage);
        // SAFETY: the image is alive and bound, and its usage allows views.
        let result = unsafe { self.core.raw.create_image_view(&info, None) };
        self.core.check("vkCreateImageView", result)
    }

    /// Creates the views that the usage allows.
    pub(crate) fn create_views(&mut self) -> Result<(), Failure> {
        if !self.plan.has_views() {
            return Ok(());
        }
        let viewable = vk::ImageUsageFlags::SAMPLED
            | vk::ImageUsageFlags::STORAGE
            | vk::ImageUsageFlags::COLOR_ATTACHMENT;
        self.view = self.create_view(vk::ComponentSwizzle::IDENTITY, self.plan.usage & viewable)?;
        let is_sampled = self.plan.usage.contains(vk::ImageUsageFlags::SAMPLED);
        if is_sampled && has_unused_alpha(self.plan.fourcc) {
            self.sampled_view =
                self.create_view(vk::ComponentSwizzle::ONE, vk::ImageUsageFlags::SAMPLED)?;
        }
        Ok(())
    }
}

impl Drop for SharedImage {
    fn drop(&mut self) {
        if !self.core.may_destroy() {
            return;
        }
        for view in [self.view, self.sampled_view] {
            if view != vk::ImageView::null() {
                // SAFETY: the work that used the view is over: the image went through the retire
                // queue, or no work ever used it.
                unsafe { self.core.raw.destroy_image_view(view, None) };
            }
        }
        // SAFETY: as above, and its views are gone.
        unsafe { self.core.raw.destroy_image(self.raw, None) };
    }
}

impl fmt::Debug for SharedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedImage")
            .field("format", &self.plan.fourcc)
            .field("extent", &self.plan.extent)
            .field("modifier", &self.modifier)
            .finish_non_exhaustive()
    }
}
