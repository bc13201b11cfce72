//! The memory behind a buffer, at one point of its life.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::{DmaBuf, Fence};

/// Where memory is, as its exporter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Placement {
    /// Memory of a device.
    Device,
    /// Memory of the host.
    Host,
    /// The buffer came from outside, and nobody said where it lives.
    Unknown,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Device => "device memory",
            Self::Host => "host memory",
            Self::Unknown => "an unknown place",
        })
    }
}

/// Counts the backings that a buffer has had. A mapping is of one generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(u64);

impl Generation {
    pub(crate) const FIRST: Self = Self(1);

    /// The number; it only grows.
    pub fn as_u64(self) -> u64 {
        self.0
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
}

impl fmt::Debug for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Allocation")
            .field("dmabuf", &self.dmabuf)
            .field("placement", &self.placement)
            .finish_non_exhaustive()
    }
}

/// The memory of a buffer at one generation. Clones share it.
#[derive(Clone, Debug)]
pub struct Backing {
    allocation: Arc<Allocation>,
    generation: Generation,
}

impl Backing {
    pub(crate) fn new(allocation: Allocation, generation: Generation) -> Self {
        Self {
            allocation: Arc::new(allocation),
            generation,
        }
    }

    /// The dma-buf.
    pub fn dmabuf(&self) -> &DmaBuf {
        &self.allocation.dmabuf
    }

    /// Where it is.
    pub fn placement(&self) -> Placement {
        self.allocation.placement
    }

    /// Which of the buffer's backings it is.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The exporter's own object, if it is a `T`.
    pub fn origin<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.allocation.origin.clone().downcast().ok()
    }
}
