//! `DRM_IOCTL_SYNCOBJ_*` calls that the `drm` crate gets wrong, or returns as raw file descriptors.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use drm_ffi::drm_syncobj_handle;

/// `DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE` of `drm.h`.
const IMPORT_SYNC_FILE: u32 = 1;

mod ioctls {
    nix::ioctl_readwrite!(fd_to_handle, b'd', 0xc2, drm_ffi::drm_syncobj_handle);
}

/// Imports the fence of a sync_file into an existing syncobj (`DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE`). The
/// `drm` crate always passes handle 0, which is not a valid syncobj.
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
    // SAFETY: the argument is a writable `struct drm_syncobj_handle`, and both file descriptors are
    // borrowed for the call.
    unsafe { ioctls::fd_to_handle(fd.as_raw_fd(), &raw mut argument) }?;
    Ok(())
}

/// Exports the syncobj, or a sync_file of its fence (`DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD`).
pub(crate) fn export(fd: BorrowedFd<'_>, handle: u32, sync_file: bool) -> io::Result<OwnedFd> {
    let made = drm_ffi::syncobj::handle_to_fd(fd, handle, sync_file)?;
    // SAFETY: the ioctl succeeded, so the kernel has returned a new file descriptor without an owner.
    Ok(unsafe { OwnedFd::from_raw_fd(made.fd) })
}
