//! The floor: what the operations cost without the library.
//!
//! Each is written straight against ash and the kernel's ioctls, as good code written by hand for one
//! program would be: the same dma-buf, the same modifier list, dedicated allocations, explicit
//! layouts, framebuffers with modifiers, atomic flips with an in-fence. What can be asked once is
//! asked once, when it is opened. It checks nothing that it was given.

pub mod copy;
pub mod fences;
pub mod foreign;
pub mod handoff;
pub mod operation;
pub mod safeties;

mod commands;
mod copied_memory;
mod descriptor;
mod display;
mod export;
mod first_release;
mod flip;
mod framebuffer;
mod gate;
mod host_buffer;
mod image;
mod import;
mod modifiers;
mod pending_fence;
mod semaphore;
mod signalled_fence;
mod submit;
mod vulkan;

pub use commands::{Commands, Recording};
pub use copied_memory::CopiedMemory;
pub use display::{Display, driver_name, open_card};
pub use export::{Exported, Exporter, Plane};
pub use flip::Flips;
pub use framebuffer::{Framebuffer, Framebuffers};
pub use gate::Gate;
pub use host_buffer::HostBuffer;
pub use image::Image;
pub use import::Importer;
pub use modifiers::{SupportedModifier, supported_modifiers};
pub use pending_fence::SoftwareSync;
pub(crate) use pending_fence::{Signaller, to_merge};
pub use semaphore::{Semaphore, Signal};
pub use signalled_fence::signalled_fence;
pub use submit::Submitter;
pub use vulkan::{EXTENSIONS, Vulkan};

use anyhow::Result;

use self::operation::Checks;
use crate::{Machine, Opened, OperationKind, Parameter, Size};

/// Gets the floor's side of an operation ready.
///
/// # Errors
/// When the machine lacks what it takes; it says what.
pub fn open(kind: OperationKind, machine: &Machine, parameter: Parameter) -> Result<Opened> {
    let size = parameter.size();
    Ok(match kind {
        OperationKind::Export => {
            Opened::ready(operation::Export::open(machine, size, Checks::None)?)
        }
        OperationKind::Import => {
            Opened::ready(operation::Import::open(machine, size, Checks::None)?)
        }
        OperationKind::FirstUse => Opened::ready(safeties::FirstUse::open(machine, size)?),
        OperationKind::CheckDescriptor => {
            Opened::ready(safeties::Descriptor::check(machine, size)?)
        }
        OperationKind::KeepDescriptor => Opened::ready(safeties::Descriptor::keep(machine, size)?),
        OperationKind::NameDmabuf => Opened::ready(safeties::Descriptor::name(machine, size)?),
        OperationKind::Framebuffer => Opened::ready(operation::Framebuffer::open(machine, size)?),
        OperationKind::Flip => Opened::ready(operation::Flip::open(machine, size)?),
        OperationKind::KnownBuffer => Opened::ready(operation::KnownBuffer::open(machine, size)?),
        OperationKind::KnownImport | OperationKind::KnownFramebuffer => {
            Opened::Absent("a program that keeps the object itself does nothing".to_owned())
        }
        OperationKind::Eviction | OperationKind::FreshEviction => {
            Opened::ready(operation::Eviction::open(machine, size)?)
        }
        OperationKind::Handoff => Opened::ready(handoff::Handoff::open(machine, size)?),
        OperationKind::HandoffProcesses => {
            Opened::ready(handoff::HandoffProcesses::open(machine, size)?)
        }
        OperationKind::HandoffDisplay => {
            Opened::ready(handoff::HandoffDisplay::open(machine, size)?)
        }
        OperationKind::CopyGpu => Opened::ready(copy::Gpu::open(machine, size)?),
        OperationKind::CopyStaging => Opened::ready(copy::Staging::open(machine, size)?),
        OperationKind::CopyMemcpy => Opened::ready(copy::Memcpy::open(size)?),
        OperationKind::CopySocket => Opened::ready(copy::Socket::open(size)?),
        OperationKind::FenceCreate => Opened::ready(fences::Create::open(machine)?),
        OperationKind::FenceMerge => {
            Opened::ready(fences::Merge::open(machine, parameter.count())?)
        }
        OperationKind::FenceWait => Opened::ready(fences::Wait::open(machine)?),
        OperationKind::FenceWaitPending => match SoftwareSync::open() {
            Ok(sync) => Opened::ready(fences::WaitPending::new(sync)?),
            Err(error) => Opened::Absent(format!("{error:#}")),
        },
        OperationKind::FenceConvert => Opened::ready(fences::Convert::open(machine)?),
    })
}

/// Gets the floor's side of an operation ready, with the safeties that the library buys by system
/// calls of their own.
///
/// # Errors
/// As [`open`].
pub fn open_checked(kind: OperationKind, machine: &Machine, size: Size) -> Result<Opened> {
    Ok(match kind {
        OperationKind::Export => {
            Opened::ready(operation::Export::open(machine, size, Checks::Named)?)
        }
        OperationKind::Import => {
            Opened::ready(operation::Import::open(machine, size, Checks::Named)?)
        }
        _ => Opened::Absent("the library makes no call here that the floor does not".to_owned()),
    })
}
