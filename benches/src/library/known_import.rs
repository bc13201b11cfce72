//! A dma-buf that the device knows is asked for once more.

use anyhow::Result;
use dmashare::StaticAttachment;
use dmashare_vk::Device;

use super::shared_buffer;
use crate::floor::Exported;
use crate::{Machine, Operation, Size};

/// An attached buffer is mapped once more, and the mapping dropped.
#[derive(Debug)]
pub struct KnownImport {
    device: Device,
    runs: u64,
    attachment: StaticAttachment<Device>,
    // Its memory.
    _exported: Exported,
}

impl KnownImport {
    /// # Errors
    /// When the device can share no image of this size.
    pub fn open(machine: &Machine, size: Size) -> Result<Self> {
        let device = Machine::adopt(machine.importer())?;
        let exported = machine.floor_exporter(size)?.export()?;
        Ok(Self {
            runs: 0,
            attachment: shared_buffer("known", size, &exported)?.attach(&device)?,
            device,
            _exported: exported,
        })
    }
}

impl Operation for KnownImport {
    fn run(&mut self) -> Result<()> {
        drop(self.attachment.map()?);
        self.runs += 1;
        Ok(())
    }

    fn bytes_copied(&self) -> Option<u64> {
        self.device.bytes_copied().checked_div(self.runs)
    }
}
