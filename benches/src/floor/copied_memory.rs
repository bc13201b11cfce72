//! What a move cannot do without: its bytes are copied.

use std::fs::OpenOptions;
use std::hint::black_box;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

use anyhow::{Context, Result};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

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

/// A dma-buf of the heap "system".
fn heap_memory(bytes: usize) -> Result<OwnedFd> {
    let path = "/dev/dma_heap/system";
    let heap = OpenOptions::new().read(true).write(true).open(path);
    let heap = heap.with_context(|| format!("cannot open {path}"))?;
    let mut data = AllocationData {
        len: bytes as u64,
        fd: 0,
        fd_flags: (nix::libc::O_RDWR | nix::libc::O_CLOEXEC).cast_unsigned(),
        heap_flags: 0,
    };
    // SAFETY: `data` has the layout of `struct dma_heap_allocation_data` and is writable.
    unsafe { ioctls::allocate(heap.as_raw_fd(), &raw mut data) }.map_err(io::Error::from)?;
    // SAFETY: the kernel has just made the descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(data.fd.cast_signed()) })
}

/// A dma-buf in this process's memory.
#[derive(Debug)]
struct Mapped {
    address: NonNull<u8>,
    length: NonZeroUsize,
}

impl Mapped {
    fn new(fd: &OwnedFd, bytes: usize) -> Result<Self> {
        let length = NonZeroUsize::new(bytes).context("an image has pixels")?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: no address is asked for, so no existing mapping is replaced.
        let address = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, fd.as_fd(), 0) }?;
        Ok(Self {
            address: address.cast(),
            length,
        })
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: exactly what mmap returned.
        let unmapped = unsafe { munmap(self.address.cast(), self.length.get()) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}

/// The memory that a move copies between: the dma-buf of a device's image, and one of the heap.
#[derive(Debug)]
pub struct CopiedMemory {
    device: Mapped,
    host: Mapped,
    bytes: usize,
}

impl CopiedMemory {
    /// Maps the first `bytes` of an image's dma-buf and of as much heap memory, and touches every page.
    ///
    /// # Errors
    /// There is no heap "system", or the memory cannot be mapped.
    pub fn new(image: &OwnedFd, bytes: usize) -> Result<Self> {
        let mut this = Self {
            device: Mapped::new(image, bytes)?,
            host: Mapped::new(&heap_memory(bytes)?, bytes)?,
            bytes,
        };
        this.out_and_back();
        Ok(this)
    }

    /// Copies one to the other and back (memcpy).
    pub fn out_and_back(&mut self) {
        // Otherwise the compiler knows that copying back changes nothing, and leaves it out.
        let pointers = || black_box((self.device.address.as_ptr(), self.host.address.as_ptr()));
        let (device, host) = pointers();
        // SAFETY: both mappings have `bytes` bytes and are different memory.
        unsafe { host.copy_from_nonoverlapping(device, self.bytes) };
        let (device, host) = pointers();
        // SAFETY: as above.
        unsafe { device.copy_from_nonoverlapping(host, self.bytes) };
    }
}
