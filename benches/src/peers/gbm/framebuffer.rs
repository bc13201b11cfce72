//! A dma-buf becomes a framebuffer and goes.

use std::os::fd::AsFd;

use anyhow::{Context, Result};
use gbm::{BufferObjectFlags, Device};
use smithay::reexports::drm::control::{Device as _, FbCmd2Flags};

use super::buffers::{Node, card, import};
use crate::floor::Exported;
use crate::{Machine, Operation, Size};

/// A dma-buf becomes a buffer object, that one a framebuffer, and all go. The crate `drm` that GBM
/// works with ends a framebuffer with RMFB.
#[derive(Debug)]
pub(super) struct Framebuffer {
    device: Device<Node>,
    size: Size,
    exported: Exported,
}

impl Framebuffer {
    pub(super) fn open(machine: &Machine, size: Size) -> Result<Self> {
        Ok(Self {
            device: card(machine)?,
            size,
            exported: machine.export_linear(size)?,
        })
    }
}

impl Operation for Framebuffer {
    fn run(&mut self) -> Result<()> {
        let fd = self.exported.fd.as_fd();
        let usage = BufferObjectFlags::SCANOUT;
        let buffer = import(&self.device, self.size, &self.exported, fd, usage)?;
        let framebuffer = self
            .device
            .add_planar_framebuffer(&buffer, FbCmd2Flags::MODIFIERS)
            .context("ADDFB2")?;
        drop(buffer);
        self.device.destroy_framebuffer(framebuffer).context("RMFB")
    }
}
