//! The buffers that are drawn into and shown in turn.

use anyhow::{Context as _, Result};
use dmashare::{Access, BufferDesc, Extent, FenceStatus, Fourcc, Mapping, Modifier, SharedBuffer};
use dmashare_drm::Card;
use dmashare_vk::Device;

use crate::agreement::USAGE;

/// A buffer that Vulkan allocated and exported, as both devices see it.
#[derive(Debug)]
pub(super) struct FrameBuffer {
    pub(super) shared: SharedBuffer,
    /// The image that Vulkan draws into.
    pub(super) image: Mapping<Device>,
    /// The framebuffer that the display shows.
    pub(super) framebuffer: Mapping<Card>,
}

impl FrameBuffer {
    /// Allocates, exports, and attaches both devices.
    pub(super) fn new(
        name: String,
        extent: Extent,
        format: Fourcc,
        modifiers: &[Modifier],
        device: &Device,
        card: &Card,
    ) -> Result<Self> {
        let desc = BufferDesc::new(name, extent, format, USAGE);
        let shared = SharedBuffer::new(device, desc, modifiers)
            .context("no buffer can be allocated and exported")?;
        let image = shared.attach(device)?.map()?;
        let framebuffer = shared
            .attach(card)
            .context("the display cannot show the device's buffers")?
            .map()?;
        Ok(Self {
            shared,
            image,
            framebuffer,
        })
    }

    /// Whether nobody reads or writes it, so that the next frame may be drawn into it. A display's
    /// use ends in its dispatch.
    pub(super) fn is_free(&self) -> bool {
        self.shared.ready(Access::Write).status() != FenceStatus::Pending
    }

    /// The inode of its dma-buf.
    pub(super) fn inode(&self) -> u64 {
        self.shared.backing().dmabuf().id().inode()
    }
}
