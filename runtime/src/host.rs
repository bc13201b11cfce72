//! Exporters of host memory: dma-heaps, memfds made dma-bufs by udmabuf, and memory that moves between
//! the two.

pub(crate) mod dma_heap;
pub(crate) mod host_memory;
pub(crate) mod linear;
pub(crate) mod mapped_image;
pub(crate) mod udmabuf;

pub use dma_heap::DmaHeap;
pub use host_memory::HostMemory;
pub use udmabuf::Udmabuf;
