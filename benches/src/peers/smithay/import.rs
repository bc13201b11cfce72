//! A dma-buf is imported and freed.

use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use smithay::backend::renderer::Renderer;
use smithay::backend::renderer::gles::GlesRenderer;

use super::dmabuf::{descriptors, dmabuf};
use super::renderer;
use crate::floor::Exported;
use crate::{Machine, Operation, Size};

/// A received dma-buf becomes an EGL image and a texture of smithay's renderer, and all go.
#[derive(Debug)]
pub(super) struct Import {
    renderer: GlesRenderer,
    size: Size,
    exported: Exported,
    received: Vec<Vec<OwnedFd>>,
}

impl Import {
    pub(super) fn open(machine: &Machine, size: Size) -> Result<Self> {
        let mut import = Self {
            renderer: renderer::renderer(machine)?,
            size,
            exported: machine.floor_exporter(size)?.export()?,
            received: Vec::new(),
        };
        import.prepare(1)?;
        import.run()?;
        renderer::check(&mut import.renderer)?;
        Ok(import)
    }
}

impl Operation for Import {
    fn prepare(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            self.received.push(descriptors(&self.exported)?);
        }
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let received = self.received.pop().context("no descriptor was prepared")?;
        let dmabuf = dmabuf(self.size, &self.exported, received)?;
        drop(renderer::import(&mut self.renderer, &dmabuf, self.size)?);
        drop(dmabuf);
        // What is gone is freed here, as a compositor does after each frame.
        self.renderer.cleanup_texture_cache()?;
        Ok(())
    }
}
