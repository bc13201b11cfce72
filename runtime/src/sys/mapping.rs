//! A shared mapping of a dma-buf, accessed only by copies.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// Memory of a dma-buf, mapped into this process. Devices may write it at any time, so there is never a
/// reference to it. Bytes are copied in and out through raw pointers.
#[derive(Debug)]
pub(crate) struct SharedMapping {
    address: NonNull<u8>,
    length: NonZeroUsize,
}

// SAFETY: the mapping belongs to the process, and nothing in it depends on a thread.
unsafe impl Send for SharedMapping {}
// SAFETY: bytes are copied only through raw pointers, no Rust value lives in the memory, and writing takes
// an exclusive reference. A race with another mapping, another process or a device can change pixels, but
// never a Rust value.
unsafe impl Sync for SharedMapping {}

impl SharedMapping {
    /// Maps the first `length` bytes of `fd` for reading, and for writing if `write`.
    pub(crate) fn new(fd: BorrowedFd<'_>, length: NonZeroUsize, write: bool) -> io::Result<Self> {
        let protection = if write {
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE
        } else {
            ProtFlags::PROT_READ
        };
        // SAFETY: no address is requested, so no existing mapping is replaced.
        let address = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, fd, 0) }?;
        Ok(Self {
            address: address.cast(),
            length,
        })
    }

    /// Address of the first byte.
    pub(crate) fn address(&self) -> NonNull<u8> {
        self.address
    }

    /// Length in bytes.
    pub(crate) fn length(&self) -> NonZeroUsize {
        self.length
    }

    fn check(&self, offset: usize, bytes: usize) {
        // Callers have checked rows against the layout, and the layout against the size of the memory.
        // This catches a mistake in those checks.
        assert!(
            offset
                .checked_add(bytes)
                .is_some_and(|end| end <= self.length.get()),
            "access past the end of a mapping"
        );
    }

    /// Copies bytes out, from `offset`.
    ///
    /// # Panics
    /// If the range is not inside the mapping.
    pub(crate) fn read(&self, offset: usize, destination: &mut [u8]) {
        self.check(offset, destination.len());
        // SAFETY: `check` has just shown that the offset lies inside the mapping.
        let source = unsafe { self.address.add(offset) };
        // SAFETY: `check` covers the whole range. `destination` is an exclusive reference, so it does not
        // overlap the mapping, into which no reference points.
        unsafe {
            source
                .as_ptr()
                .copy_to_nonoverlapping(destination.as_mut_ptr(), destination.len())
        };
    }

    /// Copies bytes to another mapping, which must have been made for writing.
    ///
    /// # Panics
    /// If a range is not inside its mapping.
    pub(crate) fn copy_to(
        &self,
        offset: usize,
        target: &mut Self,
        target_offset: usize,
        bytes: usize,
    ) {
        self.check(offset, bytes);
        target.check(target_offset, bytes);
        // SAFETY: `check` has just shown that the offset lies inside the mapping.
        let source = unsafe { self.address.add(offset) };
        // SAFETY: as above.
        let destination = unsafe { target.address.add(target_offset) };
        // SAFETY: both ranges are inside their mappings, and no reference points into either. `copy`
        // allows ranges that overlap.
        unsafe { source.as_ptr().copy_to(destination.as_ptr(), bytes) };
    }

    /// Copies bytes in, to `offset`. The mapping must have been made for writing.
    ///
    /// # Panics
    /// If the range is not inside the mapping.
    pub(crate) fn write(&mut self, offset: usize, source: &[u8]) {
        self.check(offset, source.len());
        // SAFETY: `check` has just shown that the offset lies inside the mapping.
        let destination = unsafe { self.address.add(offset) };
        // SAFETY: `check` covers the whole range. `source` is a reference, so it does not overlap the
        // mapping, into which no reference points.
        unsafe {
            destination
                .as_ptr()
                .copy_from_nonoverlapping(source.as_ptr(), source.len())
        };
    }
}

impl Drop for SharedMapping {
    fn drop(&mut self) {
        // SAFETY: the range is exactly what mmap returned, and no reference into it was ever made.
        if let Err(error) = unsafe { munmap(self.address.cast(), self.length.get()) } {
            tracing::error!(%error, "munmap of a dma-buf failed");
        }
    }
}
