//! smithay's backends and renderer, without its Wayland side.

mod dmabuf;
mod export;
mod flip;
mod framebuffer;
mod import;
mod known_import;
mod renderer;

use anyhow::Result;

use super::{NOTHING_FOR_IT, absent};
use crate::{Machine, Opened, OperationKind, Size};

/// Gets smithay's side of an operation ready.
///
/// # Errors
/// When the machine lacks what it takes; it says what.
pub(super) fn open(kind: OperationKind, machine: &Machine, size: Size) -> Result<Opened> {
    Ok(match kind {
        OperationKind::Export => Opened::ready(export::Export::open(machine, size)?),
        OperationKind::Import => Opened::ready(import::Import::open(machine, size)?),
        OperationKind::KnownImport => {
            Opened::ready(known_import::KnownImport::open(machine, size)?)
        }
        OperationKind::Framebuffer => Opened::ready(framebuffer::Framebuffer::open(machine, size)?),
        OperationKind::KnownFramebuffer => absent(
            "the framebuffers that it keeps are its compositor's own, and come with a whole frame",
        ),
        OperationKind::Flip => Opened::ready(flip::Flip::open(machine, size)?),
        OperationKind::KnownBuffer => {
            absent("its renderer submits what it has drawn, and nothing without drawing")
        }
        _ => absent(NOTHING_FOR_IT),
    })
}
