//! The memory behind a buffer at one generation.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::dmabuf::DmaBuf;
use crate::dmabuf::dmabuf_memory::DmaBufMemory;
use crate::fence::Fence;
use crate::locks::{AtomicUsize, Ordering};
use crate::memory::ledger::Charge;
use crate::memory::placement::Placement;

/// Numbers the backings of a buffer. A mapping belongs to one generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Generation(u64);

impl Generation {
    pub(crate) const FIRST: Self = Self(1);

    /// The number. It never decreases.
    pub fn as_u64(self) -> u64 {
        self.0
    }

    pub(crate) fn from_u64(number: u64) -> Self {
        Self(number)
    }

    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Memory that an exporter has allocated: the dma-buf, its placement, and the exporter's own object.
#[derive(Clone)]
#[non_exhaustive]
pub struct Allocation {
    /// The dma-bufs and the layout of the image in them.
    pub dmabuf: DmaBuf,
    /// Where the memory is.
    pub placement: Placement,
    /// The exporter's own object, such as a `VkImage` with its memory. It lives as long as the backing.
    /// An importer on the same device recognises it by downcasting and uses it instead of importing.
    pub origin: Arc<dyn Any + Send + Sync>,
    /// Fence of the exporter's own work that is in flight on the memory (a first layout transition, a
    /// clear). The first use by each device waits for it, as for a move.
    pub usable_after: Option<Fence>,
}

impl Allocation {
    /// Describes memory by `dmabuf`; `origin` keeps it alive.
    pub fn new(dmabuf: DmaBuf, placement: Placement, origin: Arc<dyn Any + Send + Sync>) -> Self {
        Self {
            dmabuf,
            placement,
            origin,
            usable_after: None,
        }
    }

    /// Sets the fence of the exporter's work that every first use must wait for.
    pub fn usable_after(mut self, fence: Fence) -> Self {
        self.usable_after = Some(fence);
        self
    }

    /// Size of all its memories, in bytes.
    pub fn bytes(&self) -> u64 {
        let memories = self.dmabuf.memories().iter();
        memories.map(DmaBufMemory::size).sum()
    }
}

impl fmt::Debug for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Allocation")
            .field("dmabuf", &self.dmabuf)
            .field("placement", &self.placement)
            .finish_non_exhaustive()
    }
}

struct Inner {
    allocation: Allocation,
    generation: Generation,
    /// Number of importers' objects of this backing.
    maps: AtomicUsize,
    /// Number of importers' objects of the same memory, of all generations.
    memory_maps: Arc<AtomicUsize>,
    /// The memory's charge to the budget of its heap, until the memory is released.
    charge: Option<Charge>,
}

/// The memory of a buffer at one generation. Clones share it.
#[derive(Clone)]
pub struct Backing {
    inner: Arc<Inner>,
}

impl Backing {
    pub(crate) fn new(
        allocation: Allocation,
        generation: Generation,
        charge: Option<Charge>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                allocation,
                generation,
                maps: AtomicUsize::new(0),
                memory_maps: Arc::new(AtomicUsize::new(0)),
                charge,
            }),
        }
    }

    /// The same memory as another generation. Both share the charge, which ends with the last of them.
    pub(crate) fn renewed(&self, generation: Generation) -> Self {
        Self {
            inner: Arc::new(Inner {
                allocation: self.inner.allocation.clone(),
                generation,
                maps: AtomicUsize::new(0),
                memory_maps: self.inner.memory_maps.clone(),
                charge: self.inner.charge.clone(),
            }),
        }
    }

    pub(crate) fn allocation(&self) -> &Allocation {
        &self.inner.allocation
    }

    /// The dma-bufs and the layout of the image in them.
    pub fn dmabuf(&self) -> &DmaBuf {
        &self.inner.allocation.dmabuf
    }

    /// Where the memory is.
    pub fn placement(&self) -> Placement {
        self.inner.allocation.placement
    }

    /// Which backing of the buffer this is.
    pub fn generation(&self) -> Generation {
        self.inner.generation
    }

    /// Size of its memory, in bytes.
    pub fn bytes(&self) -> u64 {
        self.inner.allocation.bytes()
    }

    /// The exporter's own object, if it has the type `T`.
    pub fn origin<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.inner.allocation.origin.clone().downcast().ok()
    }

    /// Number of importers' objects of this memory that belong to this generation.
    pub fn maps(&self) -> usize {
        self.inner.maps.load(Ordering::Acquire)
    }

    /// Whether both are of the same memory, at whatever generation.
    pub(crate) fn is_same_memory(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner.memory_maps, &other.inner.memory_maps)
    }

    /// Number of importers' objects of this memory, of all generations.
    pub(crate) fn memory_maps(&self) -> usize {
        self.inner.memory_maps.load(Ordering::Acquire)
    }

    pub(crate) fn mapped(&self) {
        self.inner.memory_maps.fetch_add(1, Ordering::AcqRel);
        self.inner.maps.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn claim(&self) -> Claim {
        self.mapped();
        Claim(self.clone())
    }

    pub(crate) fn unmapped(&self) {
        self.inner.maps.fetch_sub(1, Ordering::AcqRel);
        self.inner.memory_maps.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Counts as a mapping of a backing until it is dropped, while an importer makes its object.
#[derive(Debug)]
pub(crate) struct Claim(Backing);

impl Claim {
    pub(crate) fn backing(&self) -> &Backing {
        &self.0
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.unmapped();
    }
}

impl fmt::Debug for Backing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backing")
            .field("generation", &self.inner.generation)
            .field("allocation", &self.inner.allocation)
            .field("maps", &self.maps())
            .finish()
    }
}
