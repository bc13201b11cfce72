//! The library's side of each operation.

mod eviction;
mod export;
mod flip;
mod framebuffer;
mod import;
mod known_buffer;
mod known_framebuffer;
mod known_import;

pub use eviction::{Eviction, Pool};
pub use export::Export;
pub use flip::Flip;
pub use framebuffer::Framebuffer;
pub use import::Import;
pub(crate) use known_buffer::BUFFERS;
pub use known_buffer::KnownBuffer;
pub use known_framebuffer::KnownFramebuffer;
pub use known_import::KnownImport;

use anyhow::Result;
use dmashare::{BufferDesc, DmaBuf, Modifier, PlaneFd, SharedBuffer};

use crate::floor::Exported;
use crate::{FOURCC, Machine, Opened, OperationKind, Size, USAGE};

/// Gets the library's side of an operation ready.
///
/// # Errors
/// When the machine lacks what it takes; it says what.
pub fn open(kind: OperationKind, machine: &Machine, size: Size) -> Result<Opened> {
    Ok(match kind {
        OperationKind::Export => Opened::ready(Export::open(machine, size)?),
        OperationKind::Import => Opened::ready(Import::open(machine, size)?),
        OperationKind::KnownImport => Opened::ready(KnownImport::open(machine, size)?),
        OperationKind::Framebuffer => Opened::ready(Framebuffer::open(machine, size)?),
        OperationKind::KnownFramebuffer => Opened::ready(KnownFramebuffer::open(machine, size)?),
        OperationKind::Flip => Opened::ready(Flip::open(machine, size)?),
        OperationKind::KnownBuffer => Opened::ready(KnownBuffer::open(machine, size)?),
        OperationKind::Eviction => Opened::ready(Eviction::open(machine, size, Pool::Kept)?),
        OperationKind::FreshEviction => Opened::ready(Eviction::open(machine, size, Pool::None)?),
    })
}

fn desc(name: &str, size: Size) -> BufferDesc {
    BufferDesc::new(name, size.into(), FOURCC, USAGE)
}

/// A dma-buf that came from elsewhere, as the library takes it.
fn dmabuf(size: Size, exported: &Exported) -> Result<DmaBuf> {
    let planes = exported.planes.iter().map(|plane| {
        Ok(PlaneFd {
            fd: exported.fd.try_clone()?,
            offset: plane.offset,
            stride: plane.stride,
        })
    });
    let planes = planes.collect::<Result<Vec<_>>>()?;
    let modifier = Modifier::new(exported.modifier);
    Ok(DmaBuf::new(FOURCC, size.into(), modifier, planes)?)
}

fn shared_buffer(name: &str, size: Size, exported: &Exported) -> Result<SharedBuffer> {
    Ok(SharedBuffer::from_dmabuf(
        desc(name, size),
        dmabuf(size, exported)?,
    )?)
}
