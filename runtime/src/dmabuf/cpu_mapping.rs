//! A buffer in the CPU's memory, for one access after the other.

use std::num::NonZeroUsize;
use std::os::fd::AsFd;

use smallvec::SmallVec;

use crate::access::Access;
use crate::dmabuf::DmaBuf;
use crate::dmabuf::cpu_access_error::CpuAccessError;
use crate::fence::descriptor_error::DmaBufError;
use crate::image::layout::MAX_PLANES;
use crate::sys::mapping::SharedMapping;

/// A linear dma-buf image that stays mapped into the process (mmap), for accesses by the CPU that come
/// again and again: a page costs more to map than to copy. Nothing may be read or written between
/// accesses; [`begin`](Self::begin) starts one.
///
/// It keeps the memory alive, with whatever it holds, until it is dropped.
///
/// ```no_run
/// # use dmashare::{Access, CpuMapping, DmaBuf};
/// # fn frames(captured: &DmaBuf) -> Result<(), dmashare::CpuAccessError> {
/// let mut mapping = CpuMapping::new(captured, Access::Read)?;
/// let mut row = vec![0; 1024];
/// loop {
///     // ... something is captured ...
///     let access = mapping.begin(Access::Read)?;
///     access.read_row(0, 0, &mut row)?;
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct CpuMapping {
    dmabuf: DmaBuf,
    /// What it was mapped for.
    access: Access,
    mappings: SmallVec<[SharedMapping; MAX_PLANES]>,
}

impl CpuMapping {
    /// Maps the image's memories; for [`Access::Write`], they can be read as well.
    ///
    /// The buffer's description should name the CPU ([`Usage::CPU_READ`](crate::Usage::CPU_READ),
    /// [`CPU_WRITE`](crate::Usage::CPU_WRITE)): its exporter is not told of this, and may otherwise
    /// begin with undefined content when a device uses the buffer for the first time later.
    ///
    /// # Errors
    /// - [`CpuAccessError::NotLinear`]: the modifier is not LINEAR.
    /// - [`CpuAccessError::DmaBuf`]: mmap failed.
    pub fn new(dmabuf: &DmaBuf, access: Access) -> Result<Self, CpuAccessError> {
        let modifier = dmabuf.layout().modifier();
        if !modifier.is_linear() {
            return Err(CpuAccessError::NotLinear { modifier });
        }
        let mut mappings = SmallVec::new();
        for memory in dmabuf.memories() {
            let mmap_error = |source| DmaBufError::Os {
                operation: "mmap",
                source,
            };
            // A layout fits its memory, so the memory is not empty; only a size that this
            // architecture cannot address is refused here.
            let length = usize::try_from(memory.size())
                .ok()
                .and_then(NonZeroUsize::new)
                .ok_or_else(|| mmap_error(nix::Error::ENOMEM.into()))?;
            let mapping = SharedMapping::new(memory.as_fd(), length, access == Access::Write);
            mappings.push(mapping.map_err(mmap_error)?);
        }
        Ok(Self {
            dmabuf: dmabuf.clone(),
            access,
            mappings,
        })
    }

    /// What it was mapped for.
    pub(crate) fn access(&self) -> Access {
        self.access
    }

    /// The image.
    pub fn dmabuf(&self) -> &DmaBuf {
        &self.dmabuf
    }

    /// The mapping of one memory.
    pub(crate) fn memory(&self, index: usize) -> &SharedMapping {
        &self.mappings[index]
    }

    /// The mapping of one memory, for writing.
    pub(crate) fn memory_mut(&mut self, index: usize) -> &mut SharedMapping {
        &mut self.mappings[index]
    }
}
