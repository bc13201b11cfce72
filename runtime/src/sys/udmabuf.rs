//! The ioctl of `linux/udmabuf.h`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const UDMABUF_FLAGS_CLOEXEC: u32 = 1;

/// `struct udmabuf_create`.
#[repr(C)]
struct Create {
    memfd: u32,
    flags: u32,
    offset: u64,
    size: u64,
}

mod ioctls {
    nix::ioctl_write_ptr!(create, b'u', 0x42, super::Create);
}

/// `UDMABUF_CREATE`: makes a dma-buf of the first `size` bytes (whole pages) of a sealed memfd.
pub(crate) fn create(
    device: BorrowedFd<'_>,
    memfd: BorrowedFd<'_>,
    size: u64,
) -> io::Result<OwnedFd> {
    let argument = Create {
        memfd: memfd.as_raw_fd().cast_unsigned(),
        flags: UDMABUF_FLAGS_CLOEXEC,
        offset: 0,
        size,
    };
    // SAFETY: `argument` has the layout of `struct udmabuf_create`; the kernel reads it.
    let fd = unsafe { ioctls::create(device.as_raw_fd(), &raw const argument) }?;
    // SAFETY: on success the ioctl returns a new descriptor, which has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
