//! The part of `DRM_IOCTL_SYNCOBJ_*` that the `drm` crate gets wrong, or gives as plain numbers.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use drm_ffi::drm_syncobj_handle;

/// `DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE` of `drm.h`.
const IMPORT_SYNC_FILE: u32 = 1;

mod ioctls {
    nix::ioctl_readwrite!(fd_to_handle, b'd', 0xc2, drm_ffi::drm_syncobj_handle);
}

/// `DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE` of a sync_file: puts its fence into an existing syncobj. The crate
/// always passes handle 0, which no syncobj has.
pub(crate) fn import_sync_file(
    fd: BorrowedFd<'_>,
    handle: u32,
    sync_file: BorrowedFd<'_>,
) -> io::Result<()> {
    let mut argument = drm_syncobj_handle {
        handle,
        flags: IMPORT_SYNC_FILE,
        fd: sync_file.as_raw_fd(),
        pad: 0,
        point: 0,
    };
    // SAFETY: the argument is `struct drm_syncobj_handle` and writable; both descriptors are borrowed
    // for the call.
    unsafe { ioctls::fd_to_handle(fd.as_raw_fd(), &raw mut argument) }?;
    Ok(())
}

/// `DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD`: the syncobj, or a sync_file of the fence that it has.
pub(crate) fn export(fd: BorrowedFd<'_>, handle: u32, sync_file: bool) -> io::Result<OwnedFd> {
    let made = drm_ffi::syncobj::handle_to_fd(fd, handle, sync_file)?;
    // SAFETY: the ioctl succeeded, so the kernel has put a new descriptor there that has no owner.
    Ok(unsafe { OwnedFd::from_raw_fd(made.fd) })
}
