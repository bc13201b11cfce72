//! Buffers in host memory: the kernel's dma-heaps, memfds turned into dma-bufs by udmabuf, and memory
//! that can move between the two.

pub(crate) mod dma_heap;
pub(crate) mod host_memory;
pub(crate) mod linear;
pub(crate) mod udmabuf;

pub use dma_heap::DmaHeap;
pub use host_memory::HostMemory;
pub use udmabuf::Udmabuf;
