//! The library's side of each operation.

mod eviction;
mod export;
mod fences;
mod first_use;
mod flip;
mod framebuffer;
mod handoff;
mod import;
mod known_buffer;
mod known_framebuffer;
mod known_import;

pub use eviction::{Eviction, Pool};
pub use export::Export;
pub use fences::{FenceConvert, FenceCreate, FenceMerge, FenceWait, FenceWaitPending};
pub use first_use::FirstUse;
pub use flip::Flip;
pub use framebuffer::Framebuffer;
pub use handoff::{Consumer, Handoff, HandoffDisplay, HandoffProcesses, Party};
pub use import::Import;
pub(crate) use known_buffer::BUFFERS;
pub use known_buffer::KnownBuffer;
pub use known_framebuffer::KnownFramebuffer;
pub use known_import::KnownImport;

use std::os::fd::OwnedFd;

use anyhow::Result;
use dmashare::{BufferDesc, DmaBuf, Modifier, PlaneFd, SharedBuffer};

use crate::floor::{Exported, Plane, SoftwareSync};
use crate::{FOURCC, Machine, Opened, OperationKind, Parameter, Size, USAGE};

/// Gets the library's side of an operation ready.
///
/// # Errors
/// When the machine lacks what it takes; it says what.
pub fn open(kind: OperationKind, machine: &Machine, parameter: Parameter) -> Result<Opened> {
    let size = parameter.size();
    Ok(match kind {
        OperationKind::Export => Opened::ready(Export::open(machine, size)?),
        OperationKind::FirstUse => Opened::ready(FirstUse::open(machine, size)?),
        OperationKind::Import => Opened::ready(Import::open(machine, size)?),
        OperationKind::KnownImport => Opened::ready(KnownImport::open(machine, size)?),
        OperationKind::Framebuffer => Opened::ready(Framebuffer::open(machine, size)?),
        OperationKind::KnownFramebuffer => Opened::ready(KnownFramebuffer::open(machine, size)?),
        OperationKind::Flip => Opened::ready(Flip::open(machine, size)?),
        OperationKind::KnownBuffer => Opened::ready(KnownBuffer::open(machine, size)?),
        OperationKind::Eviction => Opened::ready(Eviction::open(machine, size, Pool::Kept)?),
        OperationKind::FreshEviction => Opened::ready(Eviction::open(machine, size, Pool::None)?),
        OperationKind::Handoff => Opened::ready(Handoff::open(machine, size)?),
        OperationKind::HandoffProcesses => Opened::ready(HandoffProcesses::open(machine, size)?),
        OperationKind::HandoffDisplay => Opened::ready(HandoffDisplay::open(machine, size)?),
        OperationKind::CheckDescriptor
        | OperationKind::KeepDescriptor
        | OperationKind::NameDmabuf => {
            Opened::Absent("the library does this as a part of other operations".to_owned())
        }
        OperationKind::CopyGpu
        | OperationKind::CopyStaging
        | OperationKind::CopyMemcpy
        | OperationKind::CopySocket => {
            Opened::Absent("the library shares instead of copying".to_owned())
        }
        OperationKind::FenceCreate => Opened::ready(FenceCreate::open(machine)?),
        OperationKind::FenceMerge => Opened::ready(FenceMerge::open(machine, parameter.count())?),
        OperationKind::FenceWait => Opened::ready(FenceWait::open(machine)?),
        OperationKind::FenceWaitPending => match SoftwareSync::open() {
            Ok(sync) => Opened::ready(FenceWaitPending::new(sync)?),
            Err(error) => Opened::Absent(format!("{error:#}")),
        },
        OperationKind::FenceConvert => Opened::ready(FenceConvert::open(machine)?),
    })
}

fn desc(name: &str, size: Size) -> BufferDesc {
    BufferDesc::new(name, size.into(), FOURCC, USAGE)
}

/// A dma-buf that came from elsewhere, as the library takes it.
fn dmabuf(size: Size, exported: &Exported) -> Result<DmaBuf> {
    received_dmabuf(size, &exported.fd, exported.modifier, &exported.planes)
}

/// The same of its parts.
fn received_dmabuf(size: Size, fd: &OwnedFd, modifier: u64, planes: &[Plane]) -> Result<DmaBuf> {
    let planes = planes.iter().map(|plane| {
        Ok(PlaneFd {
            fd: fd.try_clone()?,
            offset: plane.offset,
            stride: plane.stride,
        })
    });
    let planes = planes.collect::<Result<Vec<_>>>()?;
    let modifier = Modifier::new(modifier);
    Ok(DmaBuf::new(FOURCC, size.into(), modifier, planes)?)
}

fn shared_buffer(name: &str, size: Size, exported: &Exported) -> Result<SharedBuffer> {
    Ok(SharedBuffer::from_dmabuf(
        desc(name, size),
        dmabuf(size, exported)?,
    )?)
}
