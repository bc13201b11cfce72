//! Memory of a dma-buf in this process, for a driver that takes a pointer.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use crate::dmabuf::dmabuf_memory::DmaBufMemory;
use crate::fence::descriptor_error::DmaBufError;
use crate::sys::mapping::SharedMapping;

/// All of a dma-buf, mapped into this process for reading and writing, for a driver that knows pointers
/// and no dma-bufs (a renderer on the CPU). It keeps the memory alive until it is dropped, whatever
/// becomes of descriptors.
///
/// Nothing tells the kernel when the driver reads or writes (`DMA_BUF_IOCTL_SYNC`, which
/// [`CpuAccess`](crate::CpuAccess) calls): this is for memory that needs no such word, pages of the
/// host on a machine where devices see the CPU's caches.
#[derive(Debug)]
pub struct MappedMemory {
    mapping: SharedMapping,
}

impl MappedMemory {
    /// Maps the memory; the descriptor stays its owner's.
    ///
    /// # Errors
    /// [`DmaBufError::Os`] of mmap: `EINVAL` when the dma-buf cannot be mapped, `EACCES` when its
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

    /// Where it begins, at the start of a page. Others may write the bytes at any time, so no
    /// reference to them may be made.
    pub fn address(&self) -> NonNull<u8> {
        self.mapping.address()
    }

    /// How many bytes it has.
    pub fn size(&self) -> NonZeroUsize {
        self.mapping.length()
    }
}
