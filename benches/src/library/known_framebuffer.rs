//! A dma-buf that the card knows is asked for once more.

use anyhow::Result;
use dmashare::StaticAttachment;
use dmashare_drm::Card;

use super::shared_buffer;
use crate::floor::Exported;
use crate::{Machine, Operation, Size};

/// A buffer that is attached to a card is mapped once more, and the mapping dropped.
#[derive(Debug)]
pub struct KnownFramebuffer {
    attachment: StaticAttachment<Card>,
    // Its memory.
    _exported: Exported,
}

impl KnownFramebuffer {
    /// # Errors
    /// When there is no device or no card.
    pub fn open(machine: &Machine, size: Size) -> Result<Self> {
        let exported = machine.export_linear(size)?;
        let card = Card::inspect(machine.card_path()?)?;
        Ok(Self {
            attachment: shared_buffer("known framebuffer", size, &exported)?.attach(&card)?,
            _exported: exported,
        })
    }
}

impl Operation for KnownFramebuffer {
    fn run(&mut self) -> Result<()> {
        drop(self.attachment.map()?);
        Ok(())
    }
}
