//! A dma-buf mapped into this process, for a driver that takes a pointer.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use crate::dmabuf::dmabuf_memory::DmaBufMemory;
use crate::fence::descriptor_error::DmaBufError;
use crate::sys::mapping::SharedMapping;

/// A whole dma-buf, mapped into this process for reading and writing, for a driver that takes pointers
/// and not dma-bufs (a renderer on the CPU). It keeps the memory alive until it is dropped, even if all
/// descriptors are closed.
///
/// The kernel is not notified when the driver reads or writes (`DMA_BUF_IOCTL_SYNC`, which
/// [`CpuAccess`](crate::CpuAccess) calls). Use this only for memory that does not need it: host pages on
/// a machine with cache-coherent devices.
#[derive(Debug)]
pub struct MappedMemory {
    mapping: SharedMapping,
}

impl MappedMemory {
    /// Maps the memory. Does not take the descriptor.
    ///
    /// # Errors
    /// [`DmaBufError::Os`] from mmap: `EINVAL` if the dma-buf cannot be mapped, `EACCES` if its
    /// descriptor does not allow writing, `ENOMEM`.
    pub fn new(memory: &DmaBufMemory) -> Result<Self, DmaBufError> {
        let failed = |source: io::Error| DmaBufError::Os {
            operation: "mmap",
            source,
        };
        let length = usize::try_from(memory.size()).ok();
        let length = length.and_then(NonZeroUsize::new);
        let length = length.ok_or_else(|| failed(nix::Error::ENOMEM.into()))?;
        let mapping = SharedMapping::new(memory.as_fd(), length, true).map_err(failed)?;
        Ok(Self { mapping })
    }

    /// Address of the first byte, at the start of a page. Devices may write the bytes at any time, so no
    /// reference to them may be made.
    pub fn address(&self) -> NonNull<u8> {
        self.mapping.address()
    }

    /// Size in bytes.
    pub fn size(&self) -> NonZeroUsize {
        self.mapping.length()
    }
}
