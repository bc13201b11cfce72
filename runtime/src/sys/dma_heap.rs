//! The ioctl of `linux/dma-heap.h`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// `struct dma_heap_allocation_data`.
#[repr(C)]
struct AllocationData {
    len: u64,
    fd: u32,
    fd_flags: u32,
    heap_flags: u64,
}

mod ioctls {
    nix::ioctl_readwrite!(allocate, b'H', 0, super::AllocationData);
}

/// `DMA_HEAP_IOCTL_ALLOC`: allocates a dma-buf of at least `size` bytes.
pub(crate) fn allocate(heap: BorrowedFd<'_>, size: u64) -> io::Result<OwnedFd> {
    let flags = nix::libc::O_RDWR | nix::libc::O_CLOEXEC;
    let mut data = AllocationData {
        len: size,
        fd: 0,
        fd_flags: flags.cast_unsigned(),
        heap_flags: 0,
    };
    // SAFETY: `data` has the layout of `struct dma_heap_allocation_data` and is writable.
    unsafe { ioctls::allocate(heap.as_raw_fd(), &raw mut data) }?;
    let fd: RawFd = data.fd.cast_signed();
    // SAFETY: on success the kernel has put a new descriptor there, which has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
