//! A dma-buf that the renderer knows is asked for once more.

use anyhow::Result;
use smithay::backend::allocator::dmabuf::Dmabuf;
use smithay::backend::renderer::gles::GlesRenderer;

use super::dmabuf::{descriptors, dmabuf};
use super::renderer;
use crate::floor::Exported;
use crate::{Machine, Operation, Size};

/// A dma-buf that smithay's renderer has imported is imported once more: it finds the texture, and
/// binds it to its EGL image again. It knows the object `Dmabuf`, not the dma-buf: the same one in
/// another object is imported anew.
#[derive(Debug)]
pub(super) struct KnownImport {
    renderer: GlesRenderer,
    dmabuf: Dmabuf,
    size: Size,
    // Its memory.
    _exported: Exported,
}

impl KnownImport {
    pub(super) fn open(machine: &Machine, size: Size) -> Result<Self> {
        let mut renderer = renderer::renderer(machine)?;
        let exported = machine.floor_exporter(size)?.export()?;
        let dmabuf = dmabuf(size, &exported, descriptors(&exported)?)?;
        drop(renderer::import(&mut renderer, &dmabuf, size)?);
        renderer::check(&mut renderer)?;
        Ok(Self {
            renderer,
            dmabuf,
            size,
            _exported: exported,
        })
    }
}

impl Operation for KnownImport {
    fn run(&mut self) -> Result<()> {
        drop(renderer::import(
            &mut self.renderer,
            &self.dmabuf,
            self.size,
        )?);
        Ok(())
    }
}
