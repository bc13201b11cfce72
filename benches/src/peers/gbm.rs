//! Mesa's GBM, through the crate `gbm`, with the crate `drm` where it takes the kernel's ioctls.

mod buffers;
mod export;
mod framebuffer;
mod import;

use anyhow::Result;

use super::{NOTHING_FOR_IT, absent};
use crate::{Machine, Opened, OperationKind, Size};

/// Gets GBM's side of an operation ready.
///
/// # Errors
/// When the machine lacks what it takes; it says what.
pub(super) fn open(kind: OperationKind, machine: &Machine, size: Size) -> Result<Opened> {
    Ok(match kind {
        OperationKind::Export => Opened::ready(export::Export::open(machine, size)?),
        OperationKind::Import => Opened::ready(import::Import::open(machine, size)?),
        OperationKind::Framebuffer => Opened::ready(framebuffer::Framebuffer::open(machine, size)?),
        OperationKind::KnownImport => {
            absent("it does not recognise a dma-buf: every import makes a buffer object")
        }
        OperationKind::KnownFramebuffer => {
            absent("it keeps no framebuffers: the program does, in a buffer object's user data")
        }
        OperationKind::Flip => absent("it sets no modes and flips nothing"),
        OperationKind::KnownBuffer => absent("it has no queues and no fences"),
        _ => absent(NOTHING_FOR_IT),
    })
}
