//! A buffer object is made, exported and freed.

use anyhow::{Context, Result, ensure};
use gbm::{BufferObjectFlags, Device, Modifier};

use super::buffers::{FORMAT, Node, renderer};
use crate::{Machine, Operation, Size};

/// A buffer object is made with one of the modifiers, exported with its planes, and freed. It is
/// memory that a GPU can render to, without an image of any API on it.
#[derive(Debug)]
pub(super) struct Export {
    device: Device<Node>,
    size: Size,
    modifiers: Vec<Modifier>,
}

impl Export {
    pub(super) fn open(machine: &Machine, size: Size) -> Result<Self> {
        let modifiers = machine.modifiers(size)?;
        Ok(Self {
            device: renderer(machine)?,
            size,
            modifiers: modifiers
                .iter()
                .map(|one| Modifier::from(one.modifier))
                .collect(),
        })
    }
}

impl Operation for Export {
    fn run(&mut self) -> Result<()> {
        let buffer = self.device.create_buffer_object_with_modifiers2::<()>(
            self.size.width,
            self.size.height,
            FORMAT,
            self.modifiers.iter().copied(),
            BufferObjectFlags::RENDERING,
        );
        let buffer = buffer.context("gbm_bo_create_with_modifiers2")?;
        let dmabuf = buffer.fd_for_plane(0).context("gbm_bo_get_fd_for_plane")?;
        ensure!(
            self.modifiers.contains(&buffer.modifier()),
            "the driver chose a modifier that was not in the list"
        );
        for plane in 0..i32::try_from(buffer.plane_count())? {
            let (stride, offset) = (buffer.stride_for_plane(plane), buffer.offset(plane));
            ensure!(stride > 0, "plane {plane} at {offset} has no stride");
        }
        drop(dmabuf);
        Ok(())
    }
}
