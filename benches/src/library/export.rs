//! A Vulkan image is made, exported and freed.

use anyhow::Result;
use dmashare::{BufferDesc, Modifier, SharedBuffer};
use dmashare_vk::Device;

use super::desc;
use crate::{Machine, Operation, Size};

/// A Vulkan image is made, exported and freed.
#[derive(Debug)]
pub struct Export {
    device: Device,
    desc: BufferDesc,
    modifiers: Vec<Modifier>,
    runs: u64,
}

impl Export {
    /// # Errors
    /// When the device can share no image of this size.
    pub fn open(machine: &Machine, size: Size) -> Result<Self> {
        let modifiers = machine.modifiers(size)?;
        Ok(Self {
            device: Machine::adopt(machine.exporter())?,
            desc: desc("exported", size),
            modifiers: modifiers
                .iter()
                .map(|one| Modifier::new(one.modifier))
                .collect(),
            runs: 0,
        })
    }
}

impl Operation for Export {
    fn run(&mut self) -> Result<()> {
        drop(SharedBuffer::new(
            &self.device,
            self.desc.clone(),
            &self.modifiers,
        )?);
        self.runs += 1;
        Ok(())
    }

    fn bytes_copied(&self) -> Option<u64> {
        self.device.bytes_copied().checked_div(self.runs)
    }
}
