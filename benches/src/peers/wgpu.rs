//! wgpu on its Vulkan backend.

mod import;

use anyhow::Result;

use super::{NOTHING_FOR_IT, absent};
use crate::{Machine, Opened, OperationKind, Size};

/// Gets wgpu's side of an operation ready.
///
/// # Errors
/// When the machine lacks what it takes; it says what.
pub(super) fn open(kind: OperationKind, machine: &Machine, size: Size) -> Result<Opened> {
    Ok(match kind {
        OperationKind::Import => import::open(machine, size)?,
        OperationKind::Export => {
            absent("it imports dma-bufs, but allocates no memory that can be exported")
        }
        OperationKind::KnownImport => {
            absent("it does not recognise a dma-buf: every import makes a texture")
        }
        OperationKind::Framebuffer | OperationKind::KnownFramebuffer => {
            absent("it has no framebuffers of the kernel's")
        }
        OperationKind::Flip => absent("it presents a swapchain's images, not a program's"),
        OperationKind::KnownBuffer => {
            absent("it learns which textures a submission uses from command buffers alone")
        }
        _ => absent(NOTHING_FOR_IT),
    })
}
