//! What the display really showed.

use anyhow::{Context as _, Result};
use dmashare::{BufferDesc, Extent, Fourcc, Mapping, Modifier, SharedBuffer, Usage};
use dmashare_drm::Card;

use crate::capture::{Capture, Comparison};
use crate::picture::Picture;
use crate::pixel_format::PixelFormat;

/// The buffer that the display writes into, one capture after the other.
#[derive(Debug)]
pub(super) struct CaptureTarget {
    shared: SharedBuffer,
    mapping: Mapping<Card>,
}

impl CaptureTarget {
    pub(super) fn new(card: &Card, name: String, extent: Extent, format: Fourcc) -> Result<Self> {
        let usage = Usage::SCANOUT | Usage::CPU_READ;
        let desc = BufferDesc::new(name, extent, format, usage);
        let shared = SharedBuffer::new(&card.dumb_buffers(), desc, &[Modifier::LINEAR])
            .context("no buffer can be allocated for captures")?;
        let mapping = shared.attach(card)?.map()?;
        Ok(Self { shared, mapping })
    }

    pub(super) fn mapping(&self) -> &Mapping<Card> {
        &self.mapping
    }

    /// Compares the capture, which is over, with the `frame`-th picture.
    pub(super) fn compare(&self, frame: u32, shown: &PixelFormat) -> Result<Comparison> {
        let capture = Capture::read(self.shared.backing().dmabuf())
            .with_context(|| format!("the capture of frame {frame} cannot be read"))?;
        let picture = Picture::new(self.shared.desc().extent, frame);
        Ok(capture.compare(&picture, shown))
    }
}
