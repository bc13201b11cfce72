//! A Vulkan image is made, exported and freed.

use anyhow::{Context, Result, ensure};
use smithay::backend::allocator::dmabuf::AsDmabuf;
use smithay::backend::allocator::vulkan::{ImageUsageFlags, VulkanAllocator};
use smithay::backend::allocator::{Allocator, Format, Modifier};
use smithay::backend::vulkan::version::Version;
use smithay::backend::vulkan::{Instance, PhysicalDevice};

use super::dmabuf::FOURCC;
use crate::{Machine, Operation, Size};

/// A Vulkan image is made by smithay's Vulkan allocator, exported, and freed.
///
/// Of its allocators (GBM, dumb buffers, udmabuf) this is the one that does what the floor does. Its
/// images are sRGB, their memory is not dedicated and of the first type, and there is no view. It
/// frees an image when the next one is made, so a run frees the image of the one before.
#[derive(Debug)]
pub(super) struct Export {
    allocator: VulkanAllocator,
    size: Size,
    modifiers: Vec<Modifier>,
}

impl Export {
    pub(super) fn open(machine: &Machine, size: Size) -> Result<Self> {
        let name = machine.exporter().name();
        let instance = Instance::new(Version::VERSION_1_3, None)?;
        let device = PhysicalDevice::enumerate(&instance)?
            .find(|device| device.name() == name)
            .with_context(|| format!("smithay does not find {name}"))?;
        let usage = ImageUsageFlags::COLOR_ATTACHMENT;
        let allocator = VulkanAllocator::new(&device, usage)?;
        let modifiers: Vec<_> = machine
            .modifiers(size)?
            .iter()
            .map(|one| Modifier::from(one.modifier))
            .filter(|&modifier| {
                let code = FOURCC;
                allocator.is_format_supported(Format { code, modifier }, usage)
            })
            .collect();
        ensure!(!modifiers.is_empty(), "{name} cannot share sRGB images");
        Ok(Self {
            allocator,
            size,
            modifiers,
        })
    }
}

impl Operation for Export {
    fn run(&mut self) -> Result<()> {
        let Size { width, height } = self.size;
        let allocator = &mut self.allocator;
        let image = allocator.create_buffer(width, height, FOURCC, &self.modifiers)?;
        let dmabuf = image.export()?;
        ensure!(
            dmabuf.num_planes() > 0 && dmabuf.strides().all(|stride| stride > 0),
            "a dma-buf without planes"
        );
        Ok(())
    }
}
