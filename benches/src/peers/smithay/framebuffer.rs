//! A dma-buf becomes a framebuffer and goes.

use anyhow::Result;
use smithay::backend::allocator::dmabuf::Dmabuf;
use smithay::backend::drm::DrmDeviceFd;
use smithay::backend::drm::gbm::framebuffer_from_dmabuf;
use smithay::reexports::gbm;
use smithay::utils::DeviceFd;

use super::dmabuf::{descriptors, dmabuf};
use crate::floor::Exported;
use crate::{Machine, Operation, Size};

/// A dma-buf becomes a framebuffer by way of GBM, as smithay's compositor does it for a client's
/// buffer, and goes (RMFB).
#[derive(Debug)]
pub(super) struct Framebuffer {
    card: DrmDeviceFd,
    gbm: gbm::Device<DrmDeviceFd>,
    dmabuf: Dmabuf,
    // Its memory.
    _exported: Exported,
}

impl Framebuffer {
    pub(super) fn open(machine: &Machine, size: Size) -> Result<Self> {
        let exported = machine.export_linear(size)?;
        let card = DrmDeviceFd::new(DeviceFd::from(machine.another_card_file()?));
        Ok(Self {
            gbm: gbm::Device::new(card.clone())?,
            card,
            dmabuf: dmabuf(size, &exported, descriptors(&exported)?)?,
            _exported: exported,
        })
    }
}

impl Operation for Framebuffer {
    fn run(&mut self) -> Result<()> {
        drop(framebuffer_from_dmabuf(
            &self.card,
            &self.gbm,
            &self.dmabuf,
            false,
            false,
        )?);
        Ok(())
    }
}
