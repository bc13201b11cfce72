//! The camera's buffers.

use anyhow::{Context as _, Result};
use dmashare::{
    Access, BufferDesc, CpuMapping, Extent, Fourcc, Mapping, Modifier, SharedBuffer, Usage,
};
use dmashare_drm::Card;
use dmashare_v4l2::V4l2Capture;
use dmashare_vk::{Device, PhysicalDevice};

use crate::frame_pixels::FramePixels;

/// A buffer that the camera's driver allocated and exported, as all devices see it.
#[derive(Debug)]
pub(super) struct CameraFrame {
    pub(super) shared: SharedBuffer,
    /// The camera's own mapping.
    pub(super) filled: Mapping<V4l2Capture>,
    /// The framebuffer that the display shows.
    pub(super) shown: Mapping<Card>,
    /// The image that Vulkan reads, where it imports the format.
    pub(super) image: Option<Mapping<Device>>,
    /// The CPU's, to compare with.
    cpu: CpuMapping,
}

impl CameraFrame {
    pub(super) fn new(
        name: String,
        camera: &V4l2Capture,
        card: &Card,
        device: Option<&Device>,
    ) -> Result<Self> {
        let format = camera.format();
        let usage = Usage::SCANOUT | Usage::TRANSFER_SOURCE | Usage::CPU_READ;
        let mut desc = BufferDesc::new(name, format.extent, format.format, usage);
        desc.color = format.color;
        let shared = SharedBuffer::new(camera, desc, &[Modifier::LINEAR])
            .context("the camera cannot export its buffers")?;
        let filled = shared.attach(camera)?.map()?;
        let shown = shared
            .attach(card)
            .context("the display cannot show the camera's buffers")?
            .map()?;
        let image = device.map(|device| {
            let attachment = shared
                .attach(device)
                .context("Vulkan cannot import the camera's buffers")?;
            anyhow::Ok(attachment.map()?)
        });
        let cpu = CpuMapping::new(shared.backing().dmabuf(), Access::Read)?;
        Ok(Self {
            shared,
            filled,
            shown,
            image: image.transpose()?,
            cpu,
        })
    }

    /// The driver's index.
    pub(super) fn index(&self) -> u32 {
        self.filled.object().index()
    }

    /// Reads the frame with the CPU.
    pub(super) fn read(&mut self) -> Result<FramePixels> {
        FramePixels::read(&mut self.cpu, self.shared.desc().color)
    }

    /// The inode of its dma-buf.
    pub(super) fn inode(&self) -> u64 {
        self.shared.backing().dmabuf().id().inode()
    }
}

/// Whether Vulkan imports a camera's frames to read them; if not, why not.
pub(super) fn vulkan_imports(
    physical: &PhysicalDevice,
    format: Fourcc,
    extent: Extent,
) -> Result<(), String> {
    let modifiers = physical.modifiers(format, Usage::TRANSFER_SOURCE);
    let modifiers = modifiers.map_err(|error| error.to_string())?;
    let linear = modifiers
        .iter()
        .find(|support| support.modifier == Modifier::LINEAR && support.importable);
    match linear {
        Some(support) if extent.fits(support.max_extent) => Ok(()),
        Some(support) => Err(format!("its limit for {format} is {}", support.max_extent)),
        None => Err(format!("it imports no linear {format}")),
    }
}
