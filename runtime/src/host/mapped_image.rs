//! Images in host memory that the CPU copies.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;

use crate::access::Access;
use crate::box_error::BoxError;
use crate::dmabuf::DmaBuf;
use crate::dmabuf::dmabuf_memory::DmaBufMemory;
use crate::image::buffer_desc::BufferDesc;
use crate::locks::{Mutex, MutexGuard, lock};
use crate::memory::export_error::ExportError;
use crate::sys;
use crate::sys::mapping::SharedMapping;

/// A linear image in one dma-buf, mapped at its first copy. The mapping is kept, because faulting pages
/// in takes longer than copying them.
#[derive(Debug)]
pub(super) struct MappedImage {
    /// The image that this was made for. A backing with this as its origin may claim another.
    dmabuf: DmaBuf,
    mapping: Mutex<Option<SharedMapping>>,
}

impl MappedImage {
    pub(super) fn new(dmabuf: &DmaBuf) -> Self {
        Self {
            dmabuf: dmabuf.clone(),
            mapping: Mutex::new(None),
        }
    }

    /// Copies all pixels to another image. Both must be what `desc` says, in different memory.
    pub(super) fn copy_to(
        &self,
        target: &Self,
        desc: &BufferDesc,
        exporter: &str,
    ) -> Result<(), ExportError> {
        let failed = |operation: &'static str, source: BoxError| ExportError::Device {
            exporter: exporter.to_owned(),
            operation,
            source,
        };
        for image in [&self.dmabuf, &target.dmabuf] {
            if (image.format(), image.extent()) != (desc.format, desc.extent) {
                let (format, extent) = (image.format(), image.extent());
                let (wanted, size) = (desc.format, desc.extent);
                let text = format!("the memory has {format} of {extent}, not {wanted} of {size}");
                return Err(failed("copying", text.into()));
            }
        }
        let (from, to) = (&self.dmabuf.memories()[0], &target.dmabuf.memories()[0]);
        if self.dmabuf.shares_memory_with(&target.dmabuf) {
            let text = "the source is the target";
            return Err(failed("copying", text.into()));
        }
        let (mut source, mut destination) = self.lock_both(target);
        let mapped = |image: &mut Option<SharedMapping>, memory: &DmaBufMemory| {
            if image.is_none() {
                *image = Some(map(memory)?);
            }
            Ok(())
        };
        let both = mapped(&mut source, from).and_then(|()| mapped(&mut destination, to));
        both.map_err(|error: io::Error| failed("mmap", error.into()))?;
        let begun = |error: io::Error| failed("DMA_BUF_IOCTL_SYNC (start)", error.into());
        let _reading = Synced::begin(from, Access::Read).map_err(begun)?;
        let _writing = Synced::begin(to, Access::Write).map_err(begun)?;
        if let (Some(source), Some(destination)) = (&*source, &mut *destination) {
            self.copy_planes(source, target, destination);
        }
        Ok(())
    }

    /// Locks both mappings. All threads lock two images in the same order.
    fn lock_both<'a>(
        &'a self,
        target: &'a Self,
    ) -> (
        MutexGuard<'a, Option<SharedMapping>>,
        MutexGuard<'a, Option<SharedMapping>>,
    ) {
        if std::ptr::from_ref(self) < std::ptr::from_ref(target) {
            let source = lock(&self.mapping);
            (source, lock(&target.mapping))
        } else {
            let destination = lock(&target.mapping);
            (lock(&self.mapping), destination)
        }
    }

    /// Copies between two images of the same format and extent.
    fn copy_planes(&self, source: &SharedMapping, target: &Self, destination: &mut SharedMapping) {
        let (format, extent) = (self.dmabuf.format(), self.dmabuf.extent());
        let infos = format.info().map_or(&[][..], |info| info.planes);
        let planes = self.dmabuf.layout().planes().iter();
        let planes = planes.zip(target.dmabuf.layout().planes());
        for ((from, to), info) in planes.zip(infos) {
            let rows = u64::from(info.rows(extent.height));
            let row = info.row_bytes(extent.width);
            // Planes of the same stride are copied in one piece, with their padding.
            let (rows, row) = if from.stride == to.stride {
                (1, (rows - 1) * u64::from(from.stride) + row)
            } else {
                (rows, row)
            };
            for index in 0..rows {
                let at = |offset: u64, stride: u32| {
                    usize::try_from(offset + index * u64::from(stride)).unwrap_or(usize::MAX)
                };
                source.copy_to(
                    at(from.offset, from.stride),
                    destination,
                    at(to.offset, to.stride),
                    usize::try_from(row).unwrap_or(usize::MAX),
                );
            }
        }
    }
}

fn map(memory: &DmaBufMemory) -> io::Result<SharedMapping> {
    let length = usize::try_from(memory.size()).ok();
    let length = length.and_then(NonZeroUsize::new);
    let length = length.ok_or(nix::Error::ENOMEM)?;
    SharedMapping::new(memory.as_fd(), length, true)
}

/// Guard of `DMA_BUF_IOCTL_SYNC`: begins an access, and ends it when dropped.
struct Synced<'a>(&'a DmaBufMemory, Access);

impl<'a> Synced<'a> {
    fn begin(memory: &'a DmaBufMemory, access: Access) -> io::Result<Self> {
        sys::dma_buf::sync(memory.as_fd(), access, false)?;
        Ok(Self(memory, access))
    }
}

impl Drop for Synced<'_> {
    fn drop(&mut self) {
        if let Err(error) = sys::dma_buf::sync(self.0.as_fd(), self.1, true) {
            tracing::error!(%error, "DMA_BUF_IOCTL_SYNC (end) failed");
        }
    }
}
