//! The memory behind a buffer, at one point of its life.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::dmabuf::DmaBuf;
use crate::fence::Fence;
use crate::locks::{AtomicUsize, Ordering};
use crate::memory::ledger::Charge;
use crate::memory::placement::Placement;

/// Counts the backings that a buffer has had. A mapping is of one generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Generation(u64);

impl Generation {
    pub(crate) const FIRST: Self = Self(1);

    /// The number; it only grows.
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

/// What an exporter made: the dma-buf, where it is, and the exporter's own object that it came from.
#[derive(Clone)]
#[non_exhaustive]
pub struct Allocation {
    /// The memory and its layout.
    pub dmabuf: DmaBuf,
    /// Where it is.
    pub placement: Placement,
    /// The exporter's own object (a `VkImage` and its memory). It lives as long as the backing. An
    /// importer on the same device recognises it by downcasting and uses it as it is.
    pub origin: Arc<dyn Any + Send + Sync>,
    /// When the memory can be used, if the exporter has work on it in flight (a first layout
    /// transition, a clear). Everyone's first use waits for it, as for a move.
    pub usable_after: Option<Fence>,
}

impl Allocation {
    /// An allocation of memory that is described by `dmabuf` and kept alive by `origin`.
    pub fn new(dmabuf: DmaBuf, placement: Placement, origin: Arc<dyn Any + Send + Sync>) -> Self {
        Self {
            dmabuf,
            placement,
            origin,
            usable_after: None,
        }
    }

    /// The same, with work of the exporter in flight that everyone's first use must wait for.
    pub fn usable_after(mut self, fence: Fence) -> Self {
        self.usable_after = Some(fence);
        self
    }

    /// Bytes of memory that it takes.
    pub fn bytes(&self) -> u64 {
        let memories = self.dmabuf.memories().iter();
        memories
            .map(crate::dmabuf::dmabuf_memory::DmaBufMemory::size)
            .sum()
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
    /// Importers' objects of this backing that exist.
    maps: AtomicUsize,
    /// Those of its memory, at whatever generation.
    memory_maps: Arc<AtomicUsize>,
    /// What the memory counts in its heap's budget, until it is let go.
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

    /// The same memory at another generation; this one lets go of its charge when it is dropped, so
    /// the new one shares it.
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

    /// The dma-buf.
    pub fn dmabuf(&self) -> &DmaBuf {
        &self.inner.allocation.dmabuf
    }

    /// Where it is.
    pub fn placement(&self) -> Placement {
        self.inner.allocation.placement
    }

    /// Which of the buffer's backings it is.
    pub fn generation(&self) -> Generation {
        self.inner.generation
    }

    /// Bytes of memory that it takes.
    pub fn bytes(&self) -> u64 {
        self.inner.allocation.bytes()
    }

    /// The exporter's own object, if it is a `T`.
    pub fn origin<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.inner.allocation.origin.clone().downcast().ok()
    }

    /// How many importers' objects of this memory at this generation exist.
    pub fn maps(&self) -> usize {
        self.inner.maps.load(Ordering::Acquire)
    }

    /// Importers' objects of its memory that exist, those of other generations included.
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

/// Counts as a mapping of a backing until it is dropped: an importer is about to make its object.
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
