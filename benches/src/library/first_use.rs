//! An image that was exported just now is used for the first time.

use std::time::Duration;

use anyhow::{Context, Result};
use dmashare::{Access, BufferDesc, Mapping, Modifier, SharedBuffer};
use dmashare_vk::Device;

use super::desc;
use crate::{Machine, Operation, Size};

/// An image that was exported just now is attached and mapped by the device that made it, which releases
/// it to everyone.
#[derive(Debug)]
pub struct FirstUse {
    used: Vec<(Mapping<Device>, SharedBuffer)>,
    fresh: Vec<SharedBuffer>,
    device: Device,
    desc: BufferDesc,
    modifiers: Vec<Modifier>,
}

impl FirstUse {
    /// # Errors
    /// When the device can share no image of this size.
    pub fn open(machine: &Machine, size: Size) -> Result<Self> {
        let modifiers = machine.modifiers(size)?;
        Ok(Self {
            used: Vec::new(),
            fresh: Vec::new(),
            device: Machine::adopt(machine.exporter())?,
            desc: desc("fresh", size),
            modifiers: modifiers
                .iter()
                .map(|one| Modifier::new(one.modifier))
                .collect(),
        })
    }
}

impl Operation for FirstUse {
    fn prepare(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            let fresh = SharedBuffer::new(&self.device, self.desc.clone(), &self.modifiers)?;
            self.fresh.push(fresh);
        }
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let buffer = self.fresh.pop().context("no image was prepared")?;
        let mapping = buffer.attach(&self.device)?.map()?;
        self.used.push((mapping, buffer));
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        for (mapping, buffer) in self.used.drain(..) {
            buffer.wait_ready(Access::Write, Duration::from_secs(10))?;
            drop(mapping);
        }
        self.device.dispatch();
        Ok(())
    }
}
