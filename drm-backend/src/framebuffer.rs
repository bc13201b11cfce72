//! KMS framebuffers.

use std::fmt;
use std::sync::Arc;

use dmashare::{AlphaMode, Colour, Extent, Fourcc, Modifier};

use crate::device::DrmDevice;

/// A KMS framebuffer over a dma-buf's memory: what a [`Mapping`](dmashare::Mapping) of a
/// [`Card`](crate::Card) holds. It is closed when it is dropped; the card sees to it that this is
/// not before the display has stopped reading it.
pub struct Framebuffer {
    device: Arc<DrmDevice>,
    id: u32,
    format: Fourcc,
    modifier: Modifier,
    extent: Extent,
    meaning: PixelMeaning,
}

/// What the pixel values of a buffer mean, as its description says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PixelMeaning {
    pub(crate) alpha: AlphaMode,
    pub(crate) colour: Colour,
}

impl Framebuffer {
    /// Takes ownership of a framebuffer that ADDFB2 has made on `device`.
    pub(crate) fn new(
        device: Arc<DrmDevice>,
        id: u32,
        format: Fourcc,
        modifier: Modifier,
        extent: Extent,
        meaning: PixelMeaning,
    ) -> Self {
        Self {
            device,
            id,
            format,
            modifier,
            extent,
            meaning,
        }
    }

    /// The KMS object id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Pixel format.
    pub fn format(&self) -> Fourcc {
        self.format
    }

    /// Modifier.
    pub fn modifier(&self) -> Modifier {
        self.modifier
    }

    /// Size in pixels.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// What its pixel values mean.
    pub(crate) fn meaning(&self) -> PixelMeaning {
        self.meaning
    }
}

impl Drop for Framebuffer {
    fn drop(&mut self) {
        self.device.close_framebuffer(self.id);
    }
}

impl fmt::Debug for Framebuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framebuffer")
            .field("id", &self.id)
            .field("format", &self.format)
            .field("modifier", &self.modifier)
            .field("extent", &self.extent)
            .finish_non_exhaustive()
    }
}
