//! The buffers of both: the camera's, and the layer's.

use anyhow::{Context as _, Result};
use dmashare::{
    Access, BufferDesc, CpuMapping, Extent, FenceStatus, Fourcc, Mapping, Modifier, SharedBuffer,
    Usage,
};
use dmashare_drm::Card;
use dmashare_vk::{Device, PhysicalDevice};

use super::coding::Coding;
use crate::frame_pixels::FramePixels;
use crate::v4l2::{V4l2Capture, V4l2Output};

/// A buffer that the camera's driver allocated and exported, as everyone sees it.
#[derive(Debug)]
pub(super) struct CameraFrame {
    shared: SharedBuffer,
    /// The camera's own use.
    pub(super) filled: Mapping<V4l2Capture>,
    /// The framebuffer that the display shows.
    pub(super) shown: Mapping<Card>,
    /// The image that Vulkan reads, where it imports the format.
    pub(super) image: Option<Mapping<Device>>,
    /// For the CPU to compare with.
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

    /// Whether nobody reads or writes it, so that the camera may fill it. A display's use ends, with its
    /// pin, in its dispatch; the camera's own in the dequeueing.
    pub(super) fn is_free(&self) -> bool {
        self.shared.ready(Access::Write).status() != FenceStatus::Pending
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

/// A buffer that Vulkan allocated and exported, and draws the layer into.
#[derive(Debug)]
pub(super) struct LayerFrame {
    shared: SharedBuffer,
    /// The image that Vulkan draws into.
    pub(super) image: Mapping<Device>,
    /// The framebuffer that the display shows.
    pub(super) shown: Mapping<Card>,
    /// The encoder's use.
    pub(super) encoded: Option<Mapping<V4l2Output>>,
}

impl LayerFrame {
    pub(super) fn new(
        name: String,
        extent: Extent,
        format: Fourcc,
        device: &Device,
        card: &Card,
        coding: Option<&Coding>,
    ) -> Result<Self> {
        let usage = Usage::RENDER | Usage::SCANOUT | Usage::ENCODE;
        let desc = BufferDesc::new(name, extent, format, usage);
        // The encoder reads rows one after the other.
        let shared = SharedBuffer::new(device, desc, &[Modifier::LINEAR])
            .context("no buffer can be allocated and exported for the layer")?;
        let image = shared.attach(device)?.map()?;
        let shown = shared
            .attach(card)
            .context("the display cannot show the device's buffers")?
            .map()?;
        let encoded = coding.map(|coding| coding.attach(&shared)).transpose()?;
        Ok(Self {
            shared,
            image,
            shown,
            encoded,
        })
    }

    /// Whether nobody reads or writes it, so that the next layer may be drawn into it.
    pub(super) fn is_free(&self) -> bool {
        self.shared.ready(Access::Write).status() != FenceStatus::Pending
    }

    /// The inode of its dma-buf.
    pub(super) fn inode(&self) -> u64 {
        self.shared.backing().dmabuf().id().inode()
    }
}
