//! Access by the CPU to the rows of a buffer.

use std::os::fd::AsFd;

use crate::access::Access;
use crate::dmabuf::DmaBuf;
use crate::dmabuf::cpu_access_error::CpuAccessError;
use crate::dmabuf::cpu_mapping::CpuMapping;
use crate::fence::descriptor_error::DmaBufError;
use crate::fence::held_reservations;
use crate::image::format_info::PlaneInfo;
use crate::sys;

/// CPU access to a linear dma-buf image, from [`CpuAccess::begin`] until it is dropped.
///
/// It is bracketed by `DMA_BUF_IOCTL_SYNC`: the start waits for the dma-buf's own (implicit) fences and
/// makes device writes visible to the CPU, and the end makes CPU writes visible to devices. The start
/// resumes its wait after a signal. Rows are copied, as bytes or as samples ([`plane`](Self::plane),
/// [`plane_mut`](Self::plane_mut)), because a reference to memory that a device may write is unsound.
#[derive(Debug)]
pub struct CpuAccess<'a> {
    pub(crate) mapping: Mapped<'a>,
    pub(crate) access: Access,
    /// Number of memories whose access was begun and must be ended.
    begun: usize,
}

/// The memory of an access.
#[derive(Debug)]
pub(crate) enum Mapped<'a> {
    /// Unmapped when the access ends.
    Own(Box<CpuMapping>),
    /// Stays mapped after the access.
    Kept(&'a mut CpuMapping),
}

impl Mapped<'_> {
    pub(crate) fn get(&self) -> &CpuMapping {
        match self {
            Self::Own(mapping) => mapping,
            Self::Kept(mapping) => mapping,
        }
    }

    pub(crate) fn get_mut(&mut self) -> &mut CpuMapping {
        match self {
            Self::Own(mapping) => mapping,
            Self::Kept(mapping) => mapping,
        }
    }
}

impl CpuMapping {
    /// Begins an access. The caller must first wait for fences that only the library knows
    /// ([`SharedBuffer::ready`](crate::SharedBuffer::ready)). Takes two system calls for each memory, one
    /// here and one when the access is dropped, and does not allocate.
    ///
    /// # Errors
    /// - [`CpuAccessError::ReadOnly`]: the access is for writing, and the image was mapped for reading.
    /// - [`CpuAccessError::WouldDeadlock`]: this thread has an open submission, or is in an invalidate
    ///   callback, where nothing may wait (I16).
    /// - [`CpuAccessError::DmaBuf`]: the ioctl failed. Memories that were begun are ended.
    pub fn begin(&mut self, access: Access) -> Result<CpuAccess<'_>, CpuAccessError> {
        if access == Access::Write && self.access() == Access::Read {
            return Err(CpuAccessError::ReadOnly);
        }
        CpuAccess::begin_mapped(Mapped::Kept(self), access)
    }
}

impl CpuAccess<'static> {
    /// Maps the image's memories and begins the access. As for [`CpuMapping::new`], the buffer's usage
    /// should include the CPU. The caller must first wait for fences that only the library knows
    /// ([`SharedBuffer::ready`](crate::SharedBuffer::ready)). For repeated accesses, keep a
    /// [`CpuMapping`] and call [`CpuMapping::begin`].
    ///
    /// # Errors
    /// - [`CpuAccessError::NotLinear`]: the modifier is not LINEAR.
    /// - [`CpuAccessError::WouldDeadlock`]: as [`CpuMapping::begin`].
    /// - [`CpuAccessError::DmaBuf`]: mmap or the ioctl failed. Memories that were begun are ended.
    pub fn begin(dmabuf: &DmaBuf, access: Access) -> Result<Self, CpuAccessError> {
        let mapping = Box::new(CpuMapping::new(dmabuf, access)?);
        Self::begin_mapped(Mapped::Own(mapping), access)
    }
}

impl<'a> CpuAccess<'a> {
    /// Begins an access, for which the mapping must allow `access`.
    pub(crate) fn begin_mapped(
        mapping: Mapped<'a>,
        access: Access,
    ) -> Result<Self, CpuAccessError> {
        if held_reservations::any() {
            return Err(CpuAccessError::WouldDeadlock);
        }
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
        from: usize,
        bytes: usize,
    ) -> Result<(usize, usize), CpuAccessError> {
        let end = from.saturating_add(bytes);
        let out_of_bounds = || CpuAccessError::OutOfBounds {
            plane,
            row,
            bytes: end,
        };
        let info = self.info(plane, row)?;
        let layout = self.dmabuf().layout().planes()[plane];
        let extent = self.dmabuf().extent();
        let row_bytes = info.row_bytes(extent.width);
        if row >= info.rows(extent.height) || u64::try_from(end).is_ok_and(|end| end > row_bytes) {
            return Err(out_of_bounds());
        }
        let offset = layout.offset + u64::from(row) * u64::from(layout.stride);
        let offset = usize::try_from(offset).map_err(|_| out_of_bounds())?;
        Ok((layout.memory, offset + from))
    }

    /// The format's information about a plane. `row` is for the error.
    fn info(&self, plane: usize, row: u32) -> Result<&'static PlaneInfo, CpuAccessError> {
        // Only linear layouts are mapped, and they have exactly the planes of the format.
        let info = self.dmabuf().format().info();
        info.and_then(|info| info.planes.get(plane))
            .ok_or(CpuAccessError::OutOfBounds {
                plane,
                row,
                bytes: 0,
            })
    }

    pub(crate) fn check_writable(&self) -> Result<(), CpuAccessError> {
        match self.access {
            Access::Read => Err(CpuAccessError::ReadOnly),
            Access::Write => Ok(()),
        }
    }

    /// Copies bytes of a row, starting at byte `from`, into `destination`.
    pub(crate) fn read_at(
        &self,
        plane: usize,
        row: u32,
        from: usize,
        destination: &mut [u8],
    ) -> Result<(), CpuAccessError> {
        let (memory, offset) = self.locate(plane, row, from, destination.len())?;
        self.mapping.get().memory(memory).read(offset, destination);
        Ok(())
    }

    /// Copies `source` into a row, starting at byte `from`.
    pub(crate) fn write_at(
        &mut self,
        plane: usize,
        row: u32,
        from: usize,
        source: &[u8],
    ) -> Result<(), CpuAccessError> {
        self.check_writable()?;
        let (memory, offset) = self.locate(plane, row, from, source.len())?;
        self.mapping
            .get_mut()
            .memory_mut(memory)
            .write(offset, source);
        Ok(())
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
        self.read_at(plane, row, 0, destination)
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
        self.write_at(plane, row, 0, source)
    }

    /// Bytes in a row of `plane`, without the padding up to its stride.
    ///
    /// # Errors
    /// [`CpuAccessError::OutOfBounds`]: no such plane.
    pub fn row_bytes(&self, plane: usize) -> Result<usize, CpuAccessError> {
        let bytes = self.info(plane, 0)?.row_bytes(self.dmabuf().extent().width);
        // The memory is mapped, so it fits into the address space.
        Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// Number of rows of samples in `plane`.
    ///
    /// # Errors
    /// [`CpuAccessError::OutOfBounds`]: no such plane.
    pub fn rows(&self, plane: usize) -> Result<u32, CpuAccessError> {
        let info = self.info(plane, 0)?;
        Ok(info.rows(self.dmabuf().extent().height))
    }

    /// Bytes in one sample of `plane`.
    pub(crate) fn sample_bytes(&self, plane: usize) -> Result<usize, CpuAccessError> {
        Ok(self.info(plane, 0)?.bytes_per_sample.into())
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
