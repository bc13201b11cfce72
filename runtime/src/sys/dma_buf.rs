//! The ioctls of `linux/dma-buf.h`.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::access::Access;

/// `DMA_BUF_MAGIC` of `linux/magic.h`: the `f_type` that fstatfs(2) returns for a dma-buf.
pub(crate) const DMA_BUF_MAGIC: u64 = 0x444d_4142;

const SYNC_READ: u64 = 1;
const SYNC_WRITE: u64 = 2;
const SYNC_END: u64 = 1 << 2;

/// `struct dma_buf_export_sync_file`, and `struct dma_buf_import_sync_file`, which has the same members.
#[repr(C)]
struct SyncFileArgument {
    flags: u32,
    fd: i32,
}

mod ioctls {
    nix::ioctl_write_ptr!(sync, b'b', 0, u64);
    nix::ioctl_write_ptr_bad!(
        set_name,
        nix::request_code_write!(b'b', 1, 8),
        std::ffi::c_char
    );
    nix::ioctl_readwrite!(export_sync_file, b'b', 2, super::SyncFileArgument);
    nix::ioctl_write_ptr!(import_sync_file, b'b', 3, super::SyncFileArgument);
}

fn access_flags(access: Access) -> u32 {
    match access {
        Access::Read => 1,
        // DMA_BUF_SYNC_RW: a writer may also read.
        Access::Write => 3,
    }
}

/// `DMA_BUF_IOCTL_SYNC`. Restarts on EINTR and EAGAIN, as the kernel's documentation of the ioctl
/// requires.
pub(crate) fn sync(fd: BorrowedFd<'_>, access: Access, end: bool) -> io::Result<()> {
    let direction = match access {
        Access::Read => SYNC_READ,
        Access::Write => SYNC_READ | SYNC_WRITE,
    };
    let flags = direction | if end { SYNC_END } else { 0 };
    loop {
        // SAFETY: `flags` is the kernel's `struct dma_buf_sync` (one u64) and outlives the call.
        match unsafe { ioctls::sync(fd.as_raw_fd(), &raw const flags) } {
            Ok(_) => return Ok(()),
            Err(nix::Error::EINTR | nix::Error::EAGAIN) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// `DMA_BUF_SET_NAME`. `name` has at most 31 bytes (`DMA_BUF_NAME_LEN` is 32).
pub(crate) fn set_name(fd: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    // SAFETY: the kernel reads a string of at most 32 bytes, and `name` ends in a zero byte.
    unsafe { ioctls::set_name(fd.as_raw_fd(), name.as_ptr()) }?;
    Ok(())
}

/// `DMA_BUF_IOCTL_EXPORT_SYNC_FILE`.
pub(crate) fn export_sync_file(fd: BorrowedFd<'_>, access: Access) -> io::Result<OwnedFd> {
    let mut argument = SyncFileArgument {
        flags: access_flags(access),
        fd: -1,
    };
    // SAFETY: the argument has the layout of `struct dma_buf_export_sync_file` and is writable.
    unsafe { ioctls::export_sync_file(fd.as_raw_fd(), &raw mut argument) }?;
    // SAFETY: on success the kernel has put a new descriptor there, which has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(argument.fd) })
}

/// `DMA_BUF_IOCTL_IMPORT_SYNC_FILE`.
pub(crate) fn import_sync_file(
    fd: BorrowedFd<'_>,
    sync_file: BorrowedFd<'_>,
    access: Access,
) -> io::Result<()> {
    let argument = SyncFileArgument {
        flags: access_flags(access),
        fd: sync_file.as_raw_fd(),
    };
    // SAFETY: the argument has the layout of `struct dma_buf_import_sync_file`; the kernel reads it.
    unsafe { ioctls::import_sync_file(fd.as_raw_fd(), &raw const argument) }?;
    Ok(())
}
