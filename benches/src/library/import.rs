//! A dma-buf is imported and freed.

use anyhow::{Context, Result, ensure};
use dmashare::{DmaBuf, Modifier, PlaneFd, SharedBuffer};
use dmashare_vk::Device;

use super::desc;
use crate::floor::Exported;
use crate::{FOURCC, Machine, Operation, Size};

/// A dma-buf that was received is checked, imported and freed.
#[derive(Debug)]
pub struct Import {
    device: Device,
    size: Size,
    exported: Exported,
    received: Vec<Vec<PlaneFd>>,
    runs: u64,
}

impl Import {
    /// # Errors
    /// When the device can share no image of this size.
    pub fn open(machine: &Machine, size: Size) -> Result<Self> {
        Ok(Self {
            device: Machine::adopt(machine.importer())?,
            size,
            exported: machine.floor_exporter(size)?.export()?,
            received: Vec::new(),
            runs: 0,
        })
    }
}

impl Operation for Import {
    fn prepare(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            let planes = self.exported.planes.iter().map(|plane| {
                Ok(PlaneFd {
                    fd: self.exported.fd.try_clone()?,
                    offset: plane.offset,
                    stride: plane.stride,
                })
            });
            self.received.push(planes.collect::<Result<_>>()?);
        }
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let planes = self.received.pop().context("no descriptor was prepared")?;
        let modifier = Modifier::new(self.exported.modifier);
        let dmabuf = DmaBuf::new(FOURCC, self.size.into(), modifier, planes)?;
        let buffer = SharedBuffer::from_dmabuf(desc("imported", self.size), dmabuf)?;
        drop(buffer.attach(&self.device)?.map()?);
        // No work used the image, so it went at once.
        ensure!(self.device.retired() == 0, "the image was not freed");
        self.runs += 1;
        Ok(())
    }

    fn bytes_copied(&self) -> Option<u64> {
        self.device.bytes_copied().checked_div(self.runs)
    }
}
