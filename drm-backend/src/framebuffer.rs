//! KMS framebuffers.

use std::fmt;
use std::sync::Arc;

use dmashare::{AlphaMode, BufferDesc, Color, Extent, Fourcc, Modifier};

use crate::device::DrmDevice;

/// A KMS framebuffer over the memory of a dma-buf. A [`Mapping`](dmashare::Mapping) of a
/// [`Card`](crate::Card) holds one. Dropping it closes the framebuffer; the card keeps it until the
/// display no longer reads it.
pub struct Framebuffer {
    device: Arc<DrmDevice>,
    id: u32,
    format: Fourcc,
    modifier: Modifier,
    extent: Extent,
    meaning: PixelMeaning,
}

/// The meaning of a buffer's pixel values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PixelMeaning {
    /// The format has alpha, with the meaning in `alpha`.
    pub(crate) has_alpha: bool,
    /// The format is YUV, with the meaning in `color`.
    pub(crate) is_yuv: bool,
    pub(crate) alpha: AlphaMode,
    pub(crate) color: Color,
}

impl PixelMeaning {
    /// The meaning for a framebuffer of `format` over a buffer with the description `desc`. An unknown
    /// format is assumed to have alpha.
    pub(crate) fn new(format: Fourcc, desc: &BufferDesc) -> Self {
        let info = format.info();
        Self {
            has_alpha: info.is_none_or(|info| info.has_alpha),
            is_yuv: info.is_some_and(|info| info.is_yuv),
            alpha: desc.alpha,
            color: desc.color,
        }
    }
}

impl Framebuffer {
    /// Takes ownership of a framebuffer that ADDFB2 created on `device`.
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

    /// Pixel format of the framebuffer.
    pub fn format(&self) -> Fourcc {
        self.format
    }

    /// Modifier of the framebuffer.
    pub fn modifier(&self) -> Modifier {
        self.modifier
    }

    /// Size in pixels.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// The meaning of the pixel values.
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
