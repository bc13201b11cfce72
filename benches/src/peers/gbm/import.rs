//! A dma-buf is imported and freed.

use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result, ensure};
use gbm::{BufferObjectFlags, Device};

use super::buffers::{Node, import, renderer};
use crate::floor::Exported;
use crate::{Machine, Operation, Size};

/// A received dma-buf becomes a buffer object, and both go. There is no image and no view: GBM has
/// none.
#[derive(Debug)]
pub(super) struct Import {
    device: Device<Node>,
    size: Size,
    exported: Exported,
    received: Vec<OwnedFd>,
}

impl Import {
    pub(super) fn open(machine: &Machine, size: Size) -> Result<Self> {
        Ok(Self {
            device: renderer(machine)?,
            size,
            exported: machine.floor_exporter(size)?.export()?,
            received: Vec::new(),
        })
    }
}

impl Operation for Import {
    fn prepare(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            self.received.push(self.exported.fd.try_clone()?);
        }
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let fd = self.received.pop().context("no descriptor was prepared")?;
        let usage = BufferObjectFlags::RENDERING;
        let buffer = import(&self.device, self.size, &self.exported, fd.as_fd(), usage)?;
        ensure!(
            (buffer.width(), buffer.height()) == (self.size.width, self.size.height),
            "a buffer object of another size"
        );
        Ok(())
    }
}
