//! The floor: what the operations cost without the library.
//!
//! Each is written straight against ash and the kernel's ioctls, as good code written by hand for one
//! program would be: the same dma-buf, the same modifier list, dedicated allocations, explicit
//! layouts, framebuffers with modifiers, atomic flips with an in-fence. What can be asked once is
//! asked once, when it is opened. It checks nothing that it was given.

pub mod operation;

mod copied_memory;
mod display;
mod export;
mod flip;
mod framebuffer;
mod gate;
mod image;
mod import;
mod modifiers;
mod signalled_fence;
mod submit;
mod vulkan;

pub use copied_memory::CopiedMemory;
pub use display::{Display, driver_name, open_card};
pub use export::{Exported, Exporter, Plane};
pub use flip::Flips;
pub use framebuffer::{Framebuffer, Framebuffers};
pub use gate::Gate;
pub use image::Image;
pub use import::Importer;
pub use modifiers::{SupportedModifier, supported_modifiers};
pub use signalled_fence::signalled_fence;
pub use submit::Submitter;
pub use vulkan::{EXTENSIONS, Vulkan};

use anyhow::Result;

use crate::{Machine, Opened, OperationKind, Size};

/// Gets the floor's side of an operation ready.
///
/// # Errors
/// When the machine lacks what it takes; it says what.
pub fn open(kind: OperationKind, machine: &Machine, size: Size) -> Result<Opened> {
    Ok(match kind {
        OperationKind::Export => Opened::ready(operation::Export::open(machine, size)?),
        OperationKind::Import => Opened::ready(operation::Import::open(machine, size)?),
        OperationKind::Framebuffer => Opened::ready(operation::Framebuffer::open(machine, size)?),
        OperationKind::Flip => Opened::ready(operation::Flip::open(machine, size)?),
        OperationKind::KnownBuffer => Opened::ready(operation::KnownBuffer::open(machine, size)?),
        OperationKind::KnownImport | OperationKind::KnownFramebuffer => {
            Opened::Absent("a program that keeps the object itself does nothing".to_owned())
        }
        OperationKind::Eviction | OperationKind::FreshEviction => {
            Opened::ready(operation::Eviction::open(machine, size)?)
        }
    })
}
