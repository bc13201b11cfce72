//! A dma-buf becomes an image of another Vulkan device.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

use anyhow::Result;
use ash::vk;

use super::{Image, Plane, Vulkan};

/// Makes images from dma-bufs of one kind.
#[derive(Debug)]
pub struct Importer {
    vulkan: Arc<Vulkan>,
    format: vk::Format,
    extent: vk::Extent2D,
    usage: vk::ImageUsageFlags,
    modifier: u64,
    planes: Vec<vk::SubresourceLayout>,
}

impl Importer {
    /// An importer of dma-bufs that hold `format` images with this modifier and these planes.
    pub fn new(
        vulkan: &Arc<Vulkan>,
        format: vk::Format,
        extent: vk::Extent2D,
        usage: vk::ImageUsageFlags,
        modifier: u64,
        planes: &[Plane],
    ) -> Self {
        Self {
            vulkan: vulkan.clone(),
            format,
            extent,
            usage,
            modifier,
            planes: planes
                .iter()
                .map(|plane| {
                    vk::SubresourceLayout::default()
                        .offset(plane.offset)
                        .row_pitch(u64::from(plane.stride))
                })
                .collect(),
        }
    }

    /// Imports `fd`, which the driver owns afterwards.
    ///
    /// # Errors
    /// When Vulkan refuses; `fd` is closed.
    pub fn import(&self, fd: OwnedFd) -> Result<Image> {
        const HANDLE_TYPE: vk::ExternalMemoryHandleTypeFlags =
            vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT;
        let mut modifier = vk::ImageDrmFormatModifierExplicitCreateInfoEXT::default()
            .drm_format_modifier(self.modifier)
            .plane_layouts(&self.planes);
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
            .push_next(&mut modifier)
            .push_next(&mut external);
        // SAFETY: the layout is the one that the exporting driver gave for this modifier.
        let mut image = unsafe { Image::create(&self.vulkan, &create) }?;
        let requirements = image.requirements();
        let mut properties = vk::MemoryFdPropertiesKHR::default();
        // SAFETY: `fd` is an open dma-buf.
        unsafe {
            self.vulkan.memory_fd.get_memory_fd_properties(
                HANDLE_TYPE,
                fd.as_raw_fd(),
                &mut properties,
            )
        }?;
        let types = requirements.memory_type_bits & properties.memory_type_bits;
        let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().image(image.image);
        let mut import = vk::ImportMemoryFdInfoKHR::default()
            .handle_type(HANDLE_TYPE)
            .fd(fd.as_raw_fd());
        let allocate = vk::MemoryAllocateInfo::default()
            .allocation_size(requirements.size)
            .memory_type_index(self.vulkan.memory_type(types)?)
            .push_next(&mut dedicated)
            .push_next(&mut import);
        // SAFETY: size and types are the image's and the descriptor's; the descriptor is given up
        // below when the driver has taken it.
        unsafe { image.allocate(&allocate) }?;
        let _owned_by_the_driver = fd.into_raw_fd();
        // SAFETY: allocated above; this is the image's format.
        unsafe { image.bind(self.format) }?;
        Ok(image)
    }
}
