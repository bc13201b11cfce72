//! Buffers that Vulkan draws into and a display shows.

use anyhow::{Context as _, Result};
use dmashare::{Access, BufferDesc, FenceStatus, Mapping, Modifier, SharedBuffer};
use dmashare_drm::Card;
use dmashare_vk::Device;

/// A buffer that Vulkan allocated and exported, as both devices see it.
#[derive(Debug)]
pub(crate) struct DrawnBuffer {
    pub(crate) shared: SharedBuffer,
    /// The image that Vulkan draws into.
    pub(crate) image: Mapping<Device>,
    /// The framebuffer that the display shows.
    pub(crate) framebuffer: Mapping<Card>,
}

impl DrawnBuffer {
    /// Allocates, exports, and attaches both devices.
    pub(crate) fn new(
        desc: BufferDesc,
        modifiers: &[Modifier],
        device: &Device,
        card: &Card,
    ) -> Result<Self> {
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
}

/// Whether no use of a buffer is pending, so that it may be written. A display's use ends, with its
/// pin, in its dispatch; a camera's when the buffer is dequeued.
pub(crate) fn is_free(buffer: &SharedBuffer) -> bool {
    buffer.ready(Access::Write).status() != FenceStatus::Pending
}
