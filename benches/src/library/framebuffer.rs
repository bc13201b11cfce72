//! A dma-buf becomes a framebuffer and goes.

use anyhow::Result;
use dmashare::SharedBuffer;
use dmashare_drm::Card;

use super::shared_buffer;
use crate::floor::Exported;
use crate::{Machine, Operation, Size};

/// A dma-buf becomes a framebuffer and goes.
#[derive(Debug)]
pub struct Framebuffer {
    card: Card,
    buffer: SharedBuffer,
    // Its memory.
    _exported: Exported,
}

impl Framebuffer {
    /// # Errors
    /// When there is no device or no card.
    pub fn open(machine: &Machine, size: Size) -> Result<Self> {
        let exported = machine.export_linear(size)?;
        Ok(Self {
            card: Card::inspect(machine.card_path()?)?,
            buffer: shared_buffer("framebuffer", size, &exported)?,
            _exported: exported,
        })
    }
}

impl Operation for Framebuffer {
    fn run(&mut self) -> Result<()> {
        drop(self.buffer.attach(&self.card)?.map()?);
        Ok(())
    }
}
