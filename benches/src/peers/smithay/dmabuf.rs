//! A dma-buf as smithay takes it.

use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use smithay::backend::allocator::dmabuf::{Dmabuf, DmabufFlags};
use smithay::backend::allocator::{Fourcc, Modifier};

use crate::Size;
use crate::floor::Exported;

/// The format of all images.
pub(super) const FOURCC: Fourcc = Fourcc::Xrgb8888;

/// One descriptor for each plane, as they are received.
///
/// # Errors
/// When there are too many open files.
pub(super) fn descriptors(exported: &Exported) -> Result<Vec<OwnedFd>> {
    let planes = exported.planes.iter();
    planes.map(|_| Ok(exported.fd.try_clone()?)).collect()
}

/// The received dma-buf. Nothing of it is checked.
///
/// # Errors
/// When an offset is beyond what smithay can say, or there is no plane.
pub(super) fn dmabuf(size: Size, exported: &Exported, received: Vec<OwnedFd>) -> Result<Dmabuf> {
    let (width, height) = (i32::try_from(size.width)?, i32::try_from(size.height)?);
    let modifier = Modifier::from(exported.modifier);
    let mut dmabuf = Dmabuf::builder((width, height), FOURCC, modifier, DmabufFlags::empty());
    for ((index, plane), fd) in (0..).zip(&exported.planes).zip(received) {
        dmabuf.add_plane(fd, index, u32::try_from(plane.offset)?, plane.stride);
    }
    dmabuf.build().context("the image has no plane")
}
