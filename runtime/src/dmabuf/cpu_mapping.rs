//! A buffer that stays mapped for repeated access by the CPU.

use std::num::NonZeroUsize;
use std::os::fd::AsFd;

use smallvec::SmallVec;

use crate::access::Access;
use crate::dmabuf::DmaBuf;
use crate::dmabuf::cpu_access_error::CpuAccessError;
use crate::fence::descriptor_error::DmaBufError;
use crate::image::layout::MAX_PLANES;
use crate::sys::mapping::SharedMapping;

/// A linear dma-buf image that stays mapped into the process (mmap), for repeated access by the CPU.
/// Mapping a page costs more than copying it. [`begin`](Self::begin) starts an access; between accesses
/// nothing can be read or written.
///
/// It keeps the memory and its content alive until it is dropped.
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
    /// The access that the mapping allows.
    access: Access,
    mappings: SmallVec<[SharedMapping; MAX_PLANES]>,
}

impl CpuMapping {
    /// Maps the image's memories. A mapping for [`Access::Write`] can also be read.
    ///
    /// The buffer's usage should include the CPU ([`Usage::CPU_READ`](crate::Usage::CPU_READ),
    /// [`CPU_WRITE`](crate::Usage::CPU_WRITE)). Its exporter is not notified of this mapping, so
    /// without that usage it may discard the content when a device first uses the buffer.
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
            // A layout fits into its memory, so the memory is not empty. This refuses only a size that
            // the architecture cannot address.
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

    /// The access that the mapping allows.
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
