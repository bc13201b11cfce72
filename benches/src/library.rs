//! The library's side of each operation.

mod eviction;
mod export;
mod flip;
mod framebuffer;
mod import;
mod known_buffer;

pub use eviction::{Eviction, Pool};
pub use export::Export;
pub use flip::Flip;
pub use framebuffer::Framebuffer;
pub use import::Import;
pub(crate) use known_buffer::BUFFERS;
pub use known_buffer::KnownBuffer;

use anyhow::Result;
use dmashare::{BufferDesc, DmaBuf, Modifier, PlaneFd, SharedBuffer};

use crate::floor::Exported;
use crate::{FOURCC, Size, USAGE};

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
