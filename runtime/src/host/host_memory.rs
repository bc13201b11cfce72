//! Host memory that can move between a dma-heap and a memfd.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::fence::set::FenceSet;
use crate::fence::software_timeline::SoftwareTimeline;
use crate::fence::status::FenceStatus;
use crate::host::dma_heap::DmaHeap;
use crate::host::linear::{LinearPlan, promised, require_linear};
use crate::host::mapped_image::MappedImage;
use crate::host::udmabuf::Udmabuf;
use crate::image::buffer_desc::{BufferDesc, Usage};
use crate::image::format_info::FormatInfo;
use crate::image::modifier::Modifier;
use crate::locks::{AtomicU64, Ordering};
use crate::memory::backing::{Allocation, Backing};
use crate::memory::constraint::AccessConstraint;
use crate::memory::dynamic_exporter::{Copied, DynamicExporter};
use crate::memory::export_error::ExportError;
use crate::memory::exporter::Exporter;
use crate::memory::placement::{Placement, Placements};
use crate::memory::pool::BackingPool;
use crate::negotiation::format_support::FormatSupport;
use crate::negotiation::layout_demands::LayoutControl;
use crate::negotiation::memory_kinds::MemoryKinds;
use crate::negotiation::party::Party;

const NAME: &str = "host memory";
/// Maximum bytes in the pool.
const POOL: u64 = 256 << 20;

struct Shared {
    heap: Option<DmaHeap>,
    udmabuf: Option<Udmabuf>,
    pool: BackingPool,
    copies: SoftwareTimeline,
    last_copy: AtomicU64,
}

/// An exporter of linear images in host memory. They can move between a dma-heap ([`Placement::Host`])
/// and a memfd with udmabuf ([`Placement::Shmem`]), as far as the kernel has them.
///
/// The CPU copies, after all earlier uses have finished: the copy of a move with pending fences is made by
/// [`SharedBuffer::dispatch`](crate::SharedBuffer::dispatch) or
/// [`wait_ready`](crate::SharedBuffer::wait_ready). Old memory goes to a pool of at most 256 MiB, which
/// clones share.
#[derive(Clone)]
pub struct HostMemory {
    shared: Arc<Shared>,
}

impl HostMemory {
    /// Makes an exporter from a heap and udmabuf. Without both it has no placements.
    pub fn new(heap: Option<DmaHeap>, udmabuf: Option<Udmabuf>) -> Self {
        Self {
            shared: Arc::new(Shared {
                heap,
                udmabuf,
                pool: BackingPool::new(POOL),
                copies: SoftwareTimeline::new("host memory, copies by the CPU"),
                last_copy: AtomicU64::new(0),
            }),
        }
    }

    /// Makes an exporter from the heap "system" and udmabuf, or whichever of them can be opened.
    ///
    /// # Errors
    /// The error of open(2) for the heap, if neither can be opened.
    pub fn open() -> io::Result<Self> {
        match (DmaHeap::open("system"), Udmabuf::open()) {
            (Err(error), Err(_)) => Err(error),
            (heap, udmabuf) => Ok(Self::new(heap.ok(), udmabuf.ok())),
        }
    }

    /// Describes this exporter to a [`Negotiation`](crate::Negotiation): LINEAR images of every known
    /// format, in scattered pages, with strides aligned as the other parties require and planes that
    /// start on pages.
    pub fn party(&self) -> Party {
        let formats = FormatInfo::all()
            .iter()
            .map(|info| FormatSupport::new(info.fourcc, Modifier::LINEAR, Usage::all()));
        Party::exporter(NAME, Usage::empty())
            .with_formats(formats)
            .with_layout(promised())
            .with_layout_control(LayoutControl::StrideAlignment)
            .with_memory(MemoryKinds::scattered(self.all_placements()))
    }

    fn all_placements(&self) -> Placements {
        let mut placements = Placements::empty();
        placements.set(Placements::HOST, self.shared.heap.is_some());
        placements.set(Placements::SHMEM, self.shared.udmabuf.is_some());
        placements
    }

    fn allocate_at(
        &self,
        desc: &BufferDesc,
        placement: Placement,
        wanted: &AccessConstraint,
    ) -> Result<Allocation, ExportError> {
        let plan = LinearPlan::fitting(NAME, desc, wanted)?;
        let memory = match (placement, &self.shared.heap, &self.shared.udmabuf) {
            (Placement::Host, Some(heap), _) => heap.allocate_memory(plan.size())?,
            (Placement::Shmem, _, Some(udmabuf)) => udmabuf.allocate_memory(plan.size())?,
            _ => return Err(self.no_placement(placement.into())),
        };
        let mut allocation = plan.allocation(desc, memory, placement)?;
        allocation.origin = Arc::new(MappedImage::new(&allocation.dmabuf));
        Ok(allocation)
    }

    fn no_placement(&self, wanted: Placements) -> ExportError {
        ExportError::NoPlacement {
            exporter: NAME.to_owned(),
            wanted,
            offered: self.all_placements(),
        }
    }
}

impl Exporter for HostMemory {
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
        modifiers: &[Modifier],
    ) -> Result<Allocation, ExportError> {
        let wanted = AccessConstraint {
            modifiers: Some(modifiers.to_vec()),
            ..AccessConstraint::default()
        };
        self.allocate_in(desc, &wanted)
    }
}

impl DynamicExporter for HostMemory {
    fn placements(&self, desc: &BufferDesc) -> Result<Placements, ExportError> {
        LinearPlan::new(NAME, desc)?;
        Ok(self.all_placements())
    }

    fn allocate_in(
        &self,
        desc: &BufferDesc,
        wanted: &AccessConstraint,
    ) -> Result<Allocation, ExportError> {
        if let Some(modifiers) = &wanted.modifiers {
            require_linear(NAME, desc, modifiers)?;
        }
        for placement in [Placement::Host, Placement::Shmem] {
            if !(self.all_placements() & wanted.placements).has(placement) {
                continue;
            }
            let here = AccessConstraint {
                placements: placement.into(),
                ..wanted.clone()
            };
            if let Some(allocation) = self.shared.pool.take(desc, &here) {
                return Ok(allocation);
            }
            return self.allocate_at(desc, placement, wanted);
        }
        Err(self.no_placement(wanted.placements))
    }

    /// Copies at once, or returns [`Copied::NotYet`] while fences are pending.
    fn copy(
        &self,
        desc: &BufferDesc,
        from: &Backing,
        to: &Backing,
        after: &FenceSet,
    ) -> Result<Copied, ExportError> {
        if after.status() == FenceStatus::Pending {
            return Ok(Copied::NotYet);
        }
        let (Some(source), Some(target)) =
            (from.origin::<MappedImage>(), to.origin::<MappedImage>())
        else {
            return Err(ExportError::Device {
                exporter: NAME.to_owned(),
                operation: "copying",
                source: "the memory is another exporter's".into(),
            });
        };
        source.copy_to(&target, desc, NAME)?;
        let point = self.shared.last_copy.fetch_add(1, Ordering::AcqRel) + 1;
        self.shared.copies.signal(point);
        Ok(Copied::By(self.shared.copies.fence(point)))
    }

    fn recycle(&self, desc: &BufferDesc, allocation: Allocation, after: FenceSet) {
        // The kernel keeps the pages while the dma-buf is open elsewhere, so memory that exceeds the
        // pool's limit can be closed at once.
        drop(self.shared.pool.put(desc, allocation, after));
    }

    fn pool(&self) -> Option<&BackingPool> {
        Some(&self.shared.pool)
    }
}

impl fmt::Debug for HostMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostMemory")
            .field("placements", &self.all_placements())
            .field("pool", &self.shared.pool)
            .finish_non_exhaustive()
    }
}
