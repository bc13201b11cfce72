//! Buffers in host memory: the kernel's dma-heaps, memfds turned into dma-bufs by udmabuf, and memory
//! that can move between the two.

mod dma_heap;
mod host_memory;
mod linear;
mod udmabuf;

pub use dma_heap::DmaHeap;
pub use host_memory::HostMemory;
#[cfg(feature = "in-memory")]
pub(crate) use linear::LinearPlan;
pub use udmabuf::Udmabuf;
