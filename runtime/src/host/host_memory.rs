//! Host memory that can move between a dma-heap and a memfd.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};

use crate::access::Access;
use crate::dmabuf::dmabuf_memory::DmaBufMemory;
use crate::fence::set::FenceSet;
use crate::fence::software_timeline::SoftwareTimeline;
use crate::fence::status::FenceStatus;
use crate::host::dma_heap::DmaHeap;
use crate::host::linear::{LinearPlan, promised, require_linear};
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
use crate::sys;
use crate::sys::mapping::SharedMapping;

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

/// A memory's mapping for the CPU. It is made at the first copy and kept, because faulting pages in takes
/// longer than copying them.
#[derive(Debug, Default)]
struct Origin {
    mapping: OnceLock<SharedMapping>,
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
        allocation.origin = Arc::new(Origin::default());
        Ok(allocation)
    }

    fn no_placement(&self, wanted: Placements) -> ExportError {
        ExportError::NoPlacement {
            exporter: NAME.to_owned(),
            wanted,
            offered: self.all_placements(),
        }
    }

    fn mapping<'a>(
        backing: &Backing,
        origin: &'a Origin,
        memory: &DmaBufMemory,
    ) -> Result<&'a SharedMapping, ExportError> {
        let failed = |source: io::Error| ExportError::Device {
            exporter: NAME.to_owned(),
            operation: "mmap",
            source: source.into(),
        };
        if let Some(mapping) = origin.mapping.get() {
            return Ok(mapping);
        }
        let length = usize::try_from(backing.bytes()).ok();
        let length = length.and_then(NonZeroUsize::new);
        let length = length.ok_or_else(|| failed(nix::Error::ENOMEM.into()))?;
        let mapping = SharedMapping::new(memory.as_fd(), length, true).map_err(failed)?;
        Ok(origin.mapping.get_or_init(|| mapping))
    }
}

/// Guard of `DMA_BUF_IOCTL_SYNC`: begins an access, and ends it when dropped.
struct Synced<'a>(&'a DmaBufMemory, Access);

impl<'a> Synced<'a> {
    fn begin(memory: &'a DmaBufMemory, access: Access) -> Result<Self, ExportError> {
        match sys::dma_buf::sync(memory.as_fd(), access, false) {
            Ok(()) => Ok(Self(memory, access)),
            Err(source) => Err(ExportError::Device {
                exporter: NAME.to_owned(),
                operation: "DMA_BUF_IOCTL_SYNC (start)",
                source: source.into(),
            }),
        }
    }
}

impl Drop for Synced<'_> {
    fn drop(&mut self) {
        if let Err(error) = sys::dma_buf::sync(self.0.as_fd(), self.1, true) {
            tracing::error!(%error, "DMA_BUF_IOCTL_SYNC (end) failed");
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
        let (Some(source), Some(target)) = (from.origin::<Origin>(), to.origin::<Origin>()) else {
            return Err(ExportError::Device {
                exporter: NAME.to_owned(),
                operation: "copying",
                source: "the memory is another exporter's".into(),
            });
        };
        let (from_memory, to_memory) = (&from.dmabuf().memories()[0], &to.dmabuf().memories()[0]);
        let source = Self::mapping(from, &source, from_memory)?;
        let target = Self::mapping(to, &target, to_memory)?;
        let _reading = Synced::begin(from_memory, Access::Read)?;
        let _writing = Synced::begin(to_memory, Access::Write)?;
        let infos = desc.format.info().map_or(&[][..], |info| info.planes);
        let planes = from.dmabuf().layout().planes().iter();
        for ((source_plane, target_plane), info) in
            planes.zip(to.dmabuf().layout().planes()).zip(infos)
        {
            let rows = u64::from(info.rows(desc.extent.height));
            let row = info.row_bytes(desc.extent.width);
            // Planes of the same stride are copied in one piece, with their padding.
            let (rows, row) = if source_plane.stride == target_plane.stride {
                (1, (rows - 1) * u64::from(source_plane.stride) + row)
            } else {
                (rows, row)
            };
            for index in 0..rows {
                let at = |offset: u64, stride: u32| {
                    usize::try_from(offset + index * u64::from(stride)).unwrap_or(usize::MAX)
                };
                source.copy_to(
                    at(source_plane.offset, source_plane.stride),
                    target,
                    at(target_plane.offset, target_plane.stride),
                    usize::try_from(row).unwrap_or(usize::MAX),
                );
            }
        }
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
