//! System calls for which no crate has a safe wrapper: the ioctls of dma-buf, sync_file, udmabuf and
//! dma-heap, and mappings of memory that devices write. All `unsafe` code of this crate is here.
#![allow(unsafe_code)]

pub(crate) mod cycles;
pub(crate) mod dma_buf;
pub(crate) mod dma_heap;
pub(crate) mod mapping;
pub(crate) mod sync_file;
pub(crate) mod udmabuf;
