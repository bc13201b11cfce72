//! What the display really showed.

use anyhow::{Context as _, Result};
use dmashare::{
    Access, BufferDesc, CpuMapping, Extent, Fourcc, Mapping, Modifier, SharedBuffer, Usage,
};
use dmashare_drm::Card;

use crate::capture::Capture;

/// The buffer that the display writes into, one capture after the other.
#[derive(Debug)]
pub(crate) struct CaptureTarget {
    mapping: Mapping<Card>,
    cpu: CpuMapping,
}

impl CaptureTarget {
    pub(crate) fn new(card: &Card, name: String, extent: Extent, format: Fourcc) -> Result<Self> {
        let usage = Usage::SCANOUT | Usage::CPU_READ;
        let desc = BufferDesc::new(name, extent, format, usage);
        let shared = SharedBuffer::new(&card.dumb_buffers(), desc, &[Modifier::LINEAR])
            .context("no buffer can be allocated for captures")?;
        let mapping = shared.attach(card)?.map()?;
        let cpu = CpuMapping::new(shared.backing().dmabuf(), Access::Read)
            .context("captures cannot be read by the CPU")?;
        Ok(Self { mapping, cpu })
    }

    pub(crate) fn mapping(&self) -> &Mapping<Card> {
        &self.mapping
    }

    /// Reads the capture of a frame, which is over.
    pub(crate) fn read(&mut self, frame: u32) -> Result<Capture> {
        Capture::read(&mut self.cpu)
            .with_context(|| format!("the capture of frame {frame} cannot be read"))
    }
}
