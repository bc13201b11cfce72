//! A Vulkan image becomes a dma-buf.

use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;

use anyhow::{Context, Result};
use ash::vk;
use serde::{Deserialize, Serialize};

use super::{Image, SupportedModifier, Vulkan};

/// One memory plane of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plane {
    /// Bytes from the start of the memory.
    pub offset: u64,
    /// Bytes between rows.
    pub stride: u32,
}

/// An image that was exported. The dma-buf outlives the image.
#[derive(Debug)]
pub struct Exported {
    /// The dma-buf.
    pub fd: OwnedFd,
    /// The modifier that the driver chose.
    pub modifier: u64,
    /// Where its planes are.
    pub planes: Vec<Plane>,
    /// The exporter's own image.
    pub image: Image,
}

/// Makes images of one kind.
#[derive(Debug)]
pub struct Exporter {
    vulkan: Arc<Vulkan>,
    format: vk::Format,
    extent: vk::Extent2D,
    usage: vk::ImageUsageFlags,
    modifiers: Vec<u64>,
    supported: Vec<SupportedModifier>,
}

impl Exporter {
    /// An exporter of `format` images, with one of `supported` as the driver chooses.
    pub fn new(
        vulkan: &Arc<Vulkan>,
        format: vk::Format,
        extent: vk::Extent2D,
        usage: vk::ImageUsageFlags,
        supported: &[SupportedModifier],
    ) -> Self {
        Self {
            vulkan: vulkan.clone(),
            format,
            extent,
            usage,
            modifiers: supported.iter().map(|one| one.modifier).collect(),
            supported: supported.to_vec(),
        }
    }

    /// Makes an image, exports its memory, and reads back the modifier and the planes.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn export(&self) -> Result<Exported> {
        const HANDLE_TYPE: vk::ExternalMemoryHandleTypeFlags =
            vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT;
        let mut modifiers = vk::ImageDrmFormatModifierListCreateInfoEXT::default()
            .drm_format_modifiers(&self.modifiers);
        let mut external = vk::ExternalMemoryImageCreateInfo::default().handle_types(HANDLE_TYPE);
        let create = vk::ImageCreateInfo::default()
            .image_type(vk::ImageType::TYPE_2D)
            .format(self.format)
            .extent(self.extent.into())
            .mip_levels(1)
            .array_layers(1)
            .samples(vk::SampleCountFlags::TYPE_1)
            .tiling(vk::ImageTiling::DRM_FORMAT_MODIFIER_EXT)
            .usage(self.usage)
            .sharing_mode(vk::SharingMode::EXCLUSIVE)
            .initial_layout(vk::ImageLayout::UNDEFINED)
            .push_next(&mut modifiers)
            .push_next(&mut external);
        // SAFETY: `supported_modifiers` asked the device about exactly this kind of image.
        let mut image = unsafe { Image::create(&self.vulkan, &create) }?;
        let requirements = image.requirements();
        let mut export = vk::ExportMemoryAllocateInfo::default().handle_types(HANDLE_TYPE);
        let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().image(image.image);
        let allocate = vk::MemoryAllocateInfo::default()
            .allocation_size(requirements.size)
            .memory_type_index(self.vulkan.memory_type(requirements.memory_type_bits)?)
            .push_next(&mut export)
            .push_next(&mut dedicated);
        // SAFETY: size and type are the image's, the allocation is dedicated to it.
        let memory = unsafe { image.allocate(&allocate) }?;
        // SAFETY: allocated above; this is the image's format.
        unsafe { image.bind(self.format) }?;
        let get = vk::MemoryGetFdInfoKHR::default()
            .memory(memory)
            .handle_type(HANDLE_TYPE);
        // SAFETY: the memory was allocated to be exported as this type.
        let fd = unsafe { self.vulkan.memory_fd.get_memory_fd(&get) }?;
        // SAFETY: vkGetMemoryFdKHR gives a new descriptor, owned by its caller.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut chosen = vk::ImageDrmFormatModifierPropertiesEXT::default();
        // SAFETY: the image is of this device and was made with modifier tiling.
        unsafe {
            self.vulkan
                .modifier
                .get_image_drm_format_modifier_properties(image.image, &mut chosen)
        }?;
        let modifier = chosen.drm_format_modifier;
        let planes = self
            .supported
            .iter()
            .find(|one| one.modifier == modifier)
            .context("the driver chose a modifier that was not in the list")?
            .planes;
        let planes = MEMORY_PLANES
            .iter()
            .take(usize::try_from(planes)?)
            .map(|&aspect| self.plane(&image, aspect))
            .collect::<Result<_>>()?;
        Ok(Exported {
            fd,
            modifier,
            planes,
            image,
        })
    }

    fn plane(&self, image: &Image, aspect: vk::ImageAspectFlags) -> Result<Plane> {
        let subresource = vk::ImageSubresource::default().aspect_mask(aspect);
        // SAFETY: the image has modifier tiling, and its modifier has this memory plane.
        let layout = unsafe {
            self.vulkan
                .device
                .get_image_subresource_layout(image.image, subresource)
        };
        Ok(Plane {
            offset: layout.offset,
            stride: u32::try_from(layout.row_pitch)?,
        })
    }
}

const MEMORY_PLANES: [vk::ImageAspectFlags; 4] = [
    vk::ImageAspectFlags::MEMORY_PLANE_0_EXT,
    vk::ImageAspectFlags::MEMORY_PLANE_1_EXT,
    vk::ImageAspectFlags::MEMORY_PLANE_2_EXT,
    vk::ImageAspectFlags::MEMORY_PLANE_3_EXT,
];
