//! An exporter of memory from `/dev/dma_heap/*`.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use crate::dmabuf::dmabuf_memory::DmaBufMemory;
use crate::host::linear::{LinearPlan, require_linear};
use crate::image::buffer_desc::BufferDesc;
use crate::image::modifier::Modifier;
use crate::memory::backing::Allocation;
use crate::memory::export_error::ExportError;
use crate::memory::exporter::Exporter;
use crate::memory::placement::Placement;
use crate::sys;

/// One of the kernel's dma-heaps (`CONFIG_DMABUF_HEAPS`), such as "system". Clones share the open
/// device.
#[derive(Clone, Debug)]
pub struct DmaHeap {
    device: Arc<OwnedFd>,
    name: Arc<str>,
}

impl DmaHeap {
    /// Opens `/dev/dma_heap/NAME`.
    ///
    /// # Errors
    /// The error of open(2): `ENOENT` if the kernel has no such heap, `EACCES` without permission.
    /// [`io::ErrorKind::InvalidInput`] if `name` is not a plain file name.
    pub fn open(name: &str) -> io::Result<Self> {
        // The name must be one path component, so that it cannot leave the directory.
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not the name of a heap",
            ));
        }
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open(format!("/dev/dma_heap/{name}"))?;
        Ok(Self {
            device: Arc::new(device.into()),
            name: format!("dma-heap {name}").into(),
        })
    }

    /// Allocates a dma-buf of at least `size` bytes.
    ///
    /// # Errors
    /// [`ExportError::Device`] if the ioctl fails (`ENOMEM`; `EINVAL` for 0 bytes).
    pub fn allocate_memory(&self, size: u64) -> Result<DmaBufMemory, ExportError> {
        let fd = sys::dma_heap::allocate(self.device.as_fd(), size).map_err(|source| {
            ExportError::Device {
                exporter: self.name.to_string(),
                operation: "DMA_HEAP_IOCTL_ALLOC",
                source: source.into(),
            }
        })?;
        Ok(DmaBufMemory::new(fd)?)
    }
}

impl Exporter for DmaHeap {
    fn name(&self) -> &str {
        &self.name
    }

    fn modifiers(&self, desc: &BufferDesc) -> Result<Vec<Modifier>, ExportError> {
        LinearPlan::new(&self.name, desc)?;
        Ok(vec![Modifier::LINEAR])
    }

    fn allocate(
        &self,
        desc: &BufferDesc,
        modifiers: &[Modifier],
    ) -> Result<Allocation, ExportError> {
        require_linear(&self.name, desc, modifiers)?;
        let plan = LinearPlan::new(&self.name, desc)?;
        plan.allocation(desc, self.allocate_memory(plan.size())?, Placement::Host)
    }
}
