//! Reading and writing a buffer's rows with the CPU.

use std::os::fd::AsFd;

use crate::{Access, CpuAccessError, CpuMapping, DmaBuf, DmaBufError, sys};

/// CPU access to a linear dma-buf image, from [`CpuAccess::begin`] until it is dropped.
///
/// `DMA_BUF_IOCTL_SYNC` is called around it: its start waits for the dma-buf's own (implicit) fences
/// and makes device writes visible, its end makes CPU writes visible to devices. Rows are copied;
/// there is no reference to memory that a device may write.
#[derive(Debug)]
pub struct CpuAccess<'a> {
    pub(crate) mapping: Mapped<'a>,
    pub(crate) access: Access,
    /// How many memories have begun their access and must end it.
    begun: usize,
}

/// The memory of an access.
#[derive(Debug)]
pub(crate) enum Mapped<'a> {
    /// Unmapped with the access.
    Own(Box<CpuMapping>),
    /// Mapped before it and after.
    Kept(&'a mut CpuMapping),
}

impl Mapped<'_> {
    pub(crate) fn get(&self) -> &CpuMapping {
        match self {
            Self::Own(mapping) => mapping,
            Self::Kept(mapping) => mapping,
        }
    }

    fn get_mut(&mut self) -> &mut CpuMapping {
        match self {
            Self::Own(mapping) => mapping,
            Self::Kept(mapping) => mapping,
        }
    }
}

impl CpuAccess<'static> {
    /// Maps the image's memories and begins the access. Fences that only the library knows
    /// ([`SharedBuffer::ready`](crate::SharedBuffer::ready)) must be waited for first. For many
    /// accesses, keep a [`CpuMapping`] and [begin](CpuMapping::begin) them there.
    ///
    /// # Errors
    /// - [`CpuAccessError::NotLinear`]: the modifier is not LINEAR.
    /// - [`CpuAccessError::DmaBuf`]: mmap or the ioctl failed; what was begun is ended.
    pub fn begin(dmabuf: &DmaBuf, access: Access) -> Result<Self, CpuAccessError> {
        let mapping = Box::new(CpuMapping::new(dmabuf, access)?);
        Self::begin_mapped(Mapped::Own(mapping), access)
    }
}

impl<'a> CpuAccess<'a> {
    /// Begins an access that the mapping allows.
    pub(crate) fn begin_mapped(
        mapping: Mapped<'a>,
        access: Access,
    ) -> Result<Self, CpuAccessError> {
        let mut this = Self {
            mapping,
            access,
            begun: 0,
        };
        for memory in this.mapping.get().dmabuf().memories() {
            let begun = sys::dma_buf::sync(memory.as_fd(), access, false);
            begun.map_err(|source| DmaBufError::Os {
                operation: "DMA_BUF_IOCTL_SYNC (start)",
                source,
            })?;
            this.begun += 1;
        }
        Ok(this)
    }

    pub(crate) fn dmabuf(&self) -> &DmaBuf {
        self.mapping.get().dmabuf()
    }

    pub(crate) fn locate(
        &self,
        plane: usize,
        row: u32,
        bytes: usize,
    ) -> Result<(usize, usize), CpuAccessError> {
        let out_of_bounds = || CpuAccessError::OutOfBounds { plane, row, bytes };
        let layout = self
            .dmabuf()
            .layout()
            .planes()
            .get(plane)
            .ok_or_else(out_of_bounds)?;
        let info = self
            .dmabuf()
            .format()
            .info()
            .ok_or_else(out_of_bounds)?
            .planes[plane];
        let extent = self.dmabuf().extent();
        let row_bytes = info.row_bytes(extent.width);
        if row >= info.rows(extent.height) || u64::try_from(bytes).is_ok_and(|b| b > row_bytes) {
            return Err(out_of_bounds());
        }
        let offset = layout.offset + u64::from(row) * u64::from(layout.stride);
        let offset = usize::try_from(offset).map_err(|_| out_of_bounds())?;
        Ok((layout.memory, offset))
    }

    /// Copies the first bytes of a row into `destination`.
    ///
    /// # Errors
    /// [`CpuAccessError::OutOfBounds`]: no such plane or row, or `destination` is longer than a row.
    pub fn read_row(
        &self,
        plane: usize,
        row: u32,
        destination: &mut [u8],
    ) -> Result<(), CpuAccessError> {
        let (memory, offset) = self.locate(plane, row, destination.len())?;
        self.mapping.get().memory(memory).read(offset, destination);
        Ok(())
    }

    /// Copies `source` to the beginning of a row.
    ///
    /// # Errors
    /// - [`CpuAccessError::ReadOnly`]: the access was begun for reading.
    /// - [`CpuAccessError::OutOfBounds`]: no such plane or row, or `source` is longer than a row.
    pub fn write_row(
        &mut self,
        plane: usize,
        row: u32,
        source: &[u8],
    ) -> Result<(), CpuAccessError> {
        if self.access == Access::Read {
            return Err(CpuAccessError::ReadOnly);
        }
        let (memory, offset) = self.locate(plane, row, source.len())?;
        self.mapping
            .get_mut()
            .memory_mut(memory)
            .write(offset, source);
        Ok(())
    }

    /// Bytes that a row of `plane` has, without the padding up to its stride.
    ///
    /// # Errors
    /// [`CpuAccessError::OutOfBounds`]: no such plane.
    pub fn row_bytes(&self, plane: usize) -> Result<usize, CpuAccessError> {
        let none = CpuAccessError::OutOfBounds {
            plane,
            row: 0,
            bytes: 0,
        };
        let Some(info) = self
            .dmabuf()
            .format()
            .info()
            .and_then(|info| info.planes.get(plane))
        else {
            return Err(none);
        };
        usize::try_from(info.row_bytes(self.dmabuf().extent().width)).map_err(|_| none)
    }
}

impl Drop for CpuAccess<'_> {
    fn drop(&mut self) {
        for memory in &self.dmabuf().memories()[..self.begun] {
            if let Err(error) = sys::dma_buf::sync(memory.as_fd(), self.access, true) {
                tracing::error!(%error, "DMA_BUF_IOCTL_SYNC (end) failed");
            }
        }
    }
}
