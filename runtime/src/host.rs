//! Buffers in host memory: the kernel's dma-heaps, and memfds turned into dma-bufs by udmabuf.

mod dma_heap;
mod linear;
mod udmabuf;

pub use dma_heap::DmaHeap;
pub use udmabuf::Udmabuf;
