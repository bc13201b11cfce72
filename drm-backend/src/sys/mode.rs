//! Mode setting ioctls: CLOSEFB, which the `drm` crate lacks, and reads of lists and blobs. Their length
//! may change between the query and the read (a connector appears, a blob id is reused), in which case
//! `drm-ffi` would set a vector's length past its capacity.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use drm_ffi::{drm_mode_card_res, drm_mode_closefb, drm_mode_get_blob};

use crate::sys::{retry, retry_idempotent};

mod ioctls {
    nix::ioctl_readwrite!(get_resources, b'd', 0xa0, drm_ffi::drm_mode_card_res);
    nix::ioctl_readwrite!(get_blob, b'd', 0xac, drm_ffi::drm_mode_get_blob);
    nix::ioctl_readwrite!(close_fb, b'd', 0xd0, drm_ffi::drm_mode_closefb);
}

/// Result of `DRM_IOCTL_MODE_GETRESOURCES`.
#[derive(Debug, Default)]
pub(crate) struct ResourceIds {
    pub(crate) crtcs: Vec<u32>,
    pub(crate) connectors: Vec<u32>,
    /// Width and height of the smallest framebuffer, in pixels.
    pub(crate) minimum: (u32, u32),
    /// Width and height of the largest framebuffer, in pixels.
    pub(crate) maximum: (u32, u32),
}

/// Issues `DRM_IOCTL_MODE_GETRESOURCES`, repeatedly while the lists grow between two calls.
pub(crate) fn get_resources(fd: BorrowedFd<'_>) -> io::Result<ResourceIds> {
    let mut crtcs: Vec<u32> = Vec::new();
    let mut connectors: Vec<u32> = Vec::new();
    loop {
        let mut argument = drm_mode_card_res {
            crtc_id_ptr: crtcs.as_mut_ptr().expose_provenance() as u64,
            connector_id_ptr: connectors.as_mut_ptr().expose_provenance() as u64,
            count_crtcs: u32::try_from(crtcs.len()).unwrap_or(0),
            count_connectors: u32::try_from(connectors.len()).unwrap_or(0),
            ..Default::default()
        };
        retry(|| {
            // SAFETY: the argument is `struct drm_mode_card_res`. The kernel writes each list only up
            // to the count in the argument, which is the vector's length. For a count of 0 (encoders,
            // framebuffers) it writes nothing.
            unsafe { ioctls::get_resources(fd.as_raw_fd(), &raw mut argument) }?;
            Ok(())
        })?;
        let crtc_count = argument.count_crtcs as usize;
        let connector_count = argument.count_connectors as usize;
        if crtc_count <= crtcs.len() && connector_count <= connectors.len() {
            crtcs.truncate(crtc_count);
            connectors.truncate(connector_count);
            return Ok(ResourceIds {
                crtcs,
                connectors,
                minimum: (argument.min_width, argument.min_height),
                maximum: (argument.max_width, argument.max_height),
            });
        }
        crtcs.resize(crtc_count, 0);
        connectors.resize(connector_count, 0);
    }
}

/// Reads the contents of a blob (`DRM_IOCTL_MODE_GETPROPBLOB`).
pub(crate) fn get_blob(fd: BorrowedFd<'_>, blob: u32) -> io::Result<Vec<u8>> {
    let mut data: Vec<u8> = Vec::new();
    loop {
        let mut argument = drm_mode_get_blob {
            blob_id: blob,
            length: u32::try_from(data.len()).unwrap_or(0),
            data: data.as_mut_ptr().expose_provenance() as u64,
        };
        retry(|| {
            // SAFETY: the argument is `struct drm_mode_get_blob`. The kernel writes the bytes only if
            // the blob's length equals the length in the argument, which is the vector's length.
            unsafe { ioctls::get_blob(fd.as_raw_fd(), &raw mut argument) }?;
            Ok(())
        })?;
        let length = argument.length as usize;
        if length == data.len() {
            return Ok(data);
        }
        data.clear();
        data.resize(length, 0);
    }
}

/// Releases a framebuffer without changing the screen (`DRM_IOCTL_MODE_CLOSEFB`, Linux 6.8).
pub(crate) fn close_fb(fd: BorrowedFd<'_>, framebuffer: u32) -> io::Result<()> {
    let mut argument = drm_mode_closefb {
        fb_id: framebuffer,
        pad: 0,
    };
    retry_idempotent(|| {
        // SAFETY: the argument is `struct drm_mode_closefb`, and the kernel accesses no other memory.
        unsafe { ioctls::close_fb(fd.as_raw_fd(), &raw mut argument) }?;
        Ok(())
    })
}

/// Exports a GEM object as a new dma-buf file descriptor (`DRM_IOCTL_PRIME_HANDLE_TO_FD`).
pub(crate) fn export_prime(fd: BorrowedFd<'_>, handle: u32, flags: u32) -> io::Result<OwnedFd> {
    let prime = retry(|| drm_ffi::gem::handle_to_fd(fd, handle, flags))?;
    // SAFETY: on success the kernel has installed a new descriptor, which has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(prime.fd) })
}
