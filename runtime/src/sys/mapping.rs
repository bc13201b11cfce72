//! A shared mapping of a dma-buf, read and written by copies only.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// Memory of a dma-buf in this process. Devices may write it at any time, so no reference to it is
/// ever made: bytes are copied in and out through raw pointers.
#[derive(Debug)]
pub(crate) struct SharedMapping {
    address: NonNull<u8>,
    length: NonZeroUsize,
}

// SAFETY: the mapping belongs to the process, not to a thread; nothing in it depends on the thread.
unsafe impl Send for SharedMapping {}
// SAFETY: through a shared reference bytes are only copied out; copying in takes `&mut`. Another
// mapping of the same memory races as the device does, which can change pixels but no Rust value.
unsafe impl Sync for SharedMapping {}

impl SharedMapping {
    /// Maps the first `length` bytes of `fd` for reading, and for writing if `write`.
    pub(crate) fn new(fd: BorrowedFd<'_>, length: NonZeroUsize, write: bool) -> io::Result<Self> {
        let protection = if write {
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE
        } else {
            ProtFlags::PROT_READ
        };
        // SAFETY: no address is asked for, so no existing mapping is replaced.
        let address = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, fd, 0) }?;
        Ok(Self {
            address: address.cast(),
            length,
        })
    }

    /// Where it begins.
    pub(crate) fn address(&self) -> NonNull<u8> {
        self.address
    }

    /// How many bytes it has.
    pub(crate) fn length(&self) -> NonZeroUsize {
        self.length
    }

    fn check(&self, offset: usize, bytes: usize) {
        // The callers have checked rows against the layout, and the layout against the memory's
        // size; this holds the line should one of them ever be wrong.
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
        // SAFETY: `check` covers the whole range; `destination` is ours alone and cannot overlap a
        // mapping that no reference points into.
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
    pub(crate) fn copy_to(&self, offset: usize, target: &Self, target_offset: usize, bytes: usize) {
        self.check(offset, bytes);
        target.check(target_offset, bytes);
        // SAFETY: `check` has just shown that the offset lies inside the mapping.
        let source = unsafe { self.address.add(offset) };
        // SAFETY: as above.
        let destination = unsafe { target.address.add(target_offset) };
        // SAFETY: both ranges are inside their mappings, and no reference points into either; `copy`
        // allows that both are the same memory.
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
        // SAFETY: `check` covers the whole range; `source` cannot overlap a mapping that no
        // reference points into.
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
