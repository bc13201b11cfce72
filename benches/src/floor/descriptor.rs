//! What can be asked of a descriptor that should be a dma-buf, and said of it.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use anyhow::{Context, Result, ensure};
use nix::sys::stat::fstat;

mod request {
    //! Of `linux/dma-buf.h`.

    // DMA_BUF_SET_NAME_B, whose number carries the size of a 64-bit value.
    nix::ioctl_write_ptr!(set_name, b'b', 1, u64);
}

/// Whether it can be a dma-buf with this many bytes: it has no file type, unlike a pipe or a memfd, and
/// its size is large enough (fstat).
///
/// # Errors
/// It is not.
pub(super) fn check(descriptor: BorrowedFd<'_>, bytes: u64) -> Result<()> {
    let status = fstat(descriptor.as_fd())?;
    ensure!(status.st_mode & nix::libc::S_IFMT == 0, "not a dma-buf");
    ensure!(u64::try_from(status.st_size)? >= bytes, "it is too small");
    Ok(())
}

/// Gives a dma-buf the name that the kernel's lists show (`DMA_BUF_SET_NAME_B`).
///
/// # Errors
/// The kernel refuses.
pub(super) fn set_name(dmabuf: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    // SAFETY: the descriptor is open; the kernel reads a string that ends with a zero, and copies it.
    unsafe { request::set_name(dmabuf.as_raw_fd(), name.as_ptr().cast()) }
        .context("DMA_BUF_SET_NAME_B")?;
    Ok(())
}
