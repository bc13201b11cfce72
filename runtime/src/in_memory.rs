//! An exporter whose buffers have no real memory behind them, for measuring the cost of the contract
//! itself with any number of buffers (feature `in-memory`).

use std::fmt;
use std::io;
use std::sync::Arc;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::ftruncate;

use crate::dmabuf::dmabuf_memory::DmaBufMemory;
use crate::fence::Fence;
use crate::fence::set::FenceSet;
use crate::fence::software_timeline::SoftwareTimeline;
use crate::host::linear::LinearPlan;
use crate::image::buffer_desc::BufferDesc;
use crate::image::modifier::Modifier;
use crate::locks::{AtomicU64, Ordering};
use crate::memory::backing::{Allocation, Backing};
use crate::memory::constraint::AccessConstraint;
use crate::memory::dynamic_exporter::{Copied, DynamicExporter};
use crate::memory::export_error::ExportError;
use crate::memory::exporter::Exporter;
use crate::memory::placement::{Placement, Placements};

const NAME: &str = "in memory";

struct Shared {
    /// The file that stands in for the memory of every buffer.
    memory: DmaBufMemory,
    done: Fence,
    inode: AtomicU64,
}

/// An exporter whose buffers all share one file, which is not a dma-buf. The buffers cannot be imported
/// by a device, and moving one copies nothing; otherwise the exporter behaves like a real one. Use it
/// only to benchmark bookkeeping.
#[derive(Clone)]
pub struct InMemory {
    shared: Arc<Shared>,
}

impl InMemory {
    /// Creates an exporter backed by a new memfd.
    ///
    /// # Errors
    /// Any error from memfd_create(2) or ftruncate(2).
    pub fn new() -> io::Result<Self> {
        let file = memfd_create(c"dmashare in memory", MFdFlags::MFD_CLOEXEC)?;
        ftruncate(&file, i64::MAX)?;
        Ok(Self {
            shared: Arc::new(Shared {
                memory: DmaBufMemory::in_memory(file, i64::MAX.unsigned_abs()),
                done: SoftwareTimeline::new(NAME).fence(0),
                inode: AtomicU64::new(1),
            }),
        })
    }
}

impl Exporter for InMemory {
    fn name(&self) -> &str {
        NAME
    }

    fn modifiers(&self, desc: &BufferDesc) -> Result<Vec<Modifier>, ExportError> {
        LinearPlan::new(NAME, desc)?;
        Ok(vec![Modifier::LINEAR])
    }

    fn allocate(
        &self,
        desc: &BufferDesc,
        _modifiers: &[Modifier],
    ) -> Result<Allocation, ExportError> {
        self.allocate_in(desc, &AccessConstraint::default())
    }
}

impl DynamicExporter for InMemory {
    fn placements(&self, _desc: &BufferDesc) -> Result<Placements, ExportError> {
        Ok(Placements::DEVICE | Placements::HOST)
    }

    fn allocate_in(
        &self,
        desc: &BufferDesc,
        wanted: &AccessConstraint,
    ) -> Result<Allocation, ExportError> {
        let placement = if wanted.placements.has(Placement::Device) {
            Placement::Device
        } else {
            Placement::Host
        };
        let plan = LinearPlan::fitting(NAME, desc, wanted)?;
        let inode = self.shared.inode.fetch_add(1, Ordering::Relaxed);
        let memory = self.shared.memory.in_memory_part(inode, plan.size());
        plan.allocation(desc, memory, placement)
    }

    fn copy(
        &self,
        _desc: &BufferDesc,
        _from: &Backing,
        _to: &Backing,
        _after: &FenceSet,
    ) -> Result<Copied, ExportError> {
        Ok(Copied::By(self.shared.done.clone()))
    }

    fn recycle(&self, _desc: &BufferDesc, _allocation: Allocation, _after: FenceSet) {}
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemory").finish_non_exhaustive()
    }
}
