//! A GBM device, and what its calls are given.

use std::fs::OpenOptions;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result};
use gbm::{BufferObject, BufferObjectFlags, Device, Format, Modifier};
// The very version that the crate `gbm` implements the traits of.
use smithay::reexports::drm;

use crate::floor::Exported;
use crate::peers::render_node::render_node;
use crate::{Machine, Size};

/// The format of all images.
pub(super) const FORMAT: Format = Format::Xrgb8888;

/// An open node, for the crate `drm`.
#[derive(Debug)]
pub(super) struct Node(OwnedFd);

impl AsFd for Node {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl drm::Device for Node {}
impl drm::control::Device for Node {}

/// A GBM device on the card.
///
/// # Errors
/// When there is no card, or no driver of Mesa's for it.
pub(super) fn card(machine: &Machine) -> Result<Device<Node>> {
    Ok(Device::new(Node(machine.another_card_file()?))?)
}

/// A GBM device on the Vulkan device's render node; on the card where there is none, as for a driver
/// on the CPU.
///
/// # Errors
/// When there is neither, or no driver of Mesa's for it.
pub(super) fn renderer(machine: &Machine) -> Result<Device<Node>> {
    let Some(path) = render_node(machine.exporter())? else {
        return card(machine);
    };
    let file = OpenOptions::new().read(true).write(true).open(&path);
    let file = file.with_context(|| path.display().to_string())?;
    Ok(Device::new(Node(file.into()))?)
}

/// Imports a dma-buf with its modifier.
///
/// # Errors
/// When the driver refuses.
pub(super) fn import(
    device: &Device<Node>,
    size: Size,
    exported: &Exported,
    dmabuf: BorrowedFd<'_>,
    usage: BufferObjectFlags,
) -> Result<BufferObject<()>> {
    let mut buffers = [None; 4];
    let mut strides = [0; 4];
    let mut offsets = [0; 4];
    for (index, plane) in exported.planes.iter().enumerate() {
        buffers[index] = Some(dmabuf);
        strides[index] = i32::try_from(plane.stride)?;
        offsets[index] = i32::try_from(plane.offset)?;
    }
    let imported = device.import_buffer_object_from_dma_buf_with_modifiers(
        u32::try_from(exported.planes.len())?,
        buffers,
        size.width,
        size.height,
        FORMAT,
        usage,
        strides,
        offsets,
        Modifier::from(exported.modifier),
    );
    imported.context("gbm_bo_import")
}
