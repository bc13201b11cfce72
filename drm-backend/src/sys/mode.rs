//! Mode setting ioctls: CLOSEFB, which the `drm` crate lacks, and the lists and blobs whose length
//! may change between asking for it and reading them (a connector appears, a blob's number is used
//! again), for which `drm-ffi` would set a vector's length past its capacity.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use drm_ffi::{drm_mode_card_res, drm_mode_closefb, drm_mode_get_blob};

use crate::sys::{retry, retry_idempotent};

mod ioctls {
    nix::ioctl_readwrite!(get_resources, b'd', 0xa0, drm_ffi::drm_mode_card_res);
    nix::ioctl_readwrite!(get_blob, b'd', 0xac, drm_ffi::drm_mode_get_blob);
    nix::ioctl_readwrite!(close_fb, b'd', 0xd0, drm_ffi::drm_mode_closefb);
}

/// What `DRM_IOCTL_MODE_GETRESOURCES` lists.
#[derive(Debug, Default)]
pub(crate) struct ResourceIds {
    pub(crate) crtcs: Vec<u32>,
    pub(crate) connectors: Vec<u32>,
    /// Smallest and largest framebuffer: width, height.
    pub(crate) minimum: (u32, u32),
    pub(crate) maximum: (u32, u32),
}

/// `DRM_IOCTL_MODE_GETRESOURCES`, asked again for as long as the lists grow meanwhile.
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
            // SAFETY: the argument is `struct drm_mode_card_res`. The kernel writes a list only up
            // to the count that came in, which is the vector's length; counts of 0 (encoders,
            // framebuffers) write nothing.
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

/// `DRM_IOCTL_MODE_GETPROPBLOB`: the blob's bytes.
pub(crate) fn get_blob(fd: BorrowedFd<'_>, blob: u32) -> io::Result<Vec<u8>> {
    let mut data: Vec<u8> = Vec::new();
    loop {
        let mut argument = drm_mode_get_blob {
            blob_id: blob,
            length: u32::try_from(data.len()).unwrap_or(0),
            data: data.as_mut_ptr().expose_provenance() as u64,
        };
        retry(|| {
            // SAFETY: the argument is `struct drm_mode_get_blob`. The kernel writes the bytes only
            // if the blob's length is the one that came in, which is the vector's length.
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

/// `DRM_IOCTL_MODE_CLOSEFB` (Linux 6.8): lets go of a framebuffer without touching what is shown.
pub(crate) fn close_fb(fd: BorrowedFd<'_>, framebuffer: u32) -> io::Result<()> {
    let mut argument = drm_mode_closefb {
        fb_id: framebuffer,
        pad: 0,
    };
    retry_idempotent(|| {
        // SAFETY: the argument is `struct drm_mode_closefb`, and the kernel touches nothing else.
        unsafe { ioctls::close_fb(fd.as_raw_fd(), &raw mut argument) }?;
        Ok(())
    })
}

/// `DRM_IOCTL_PRIME_HANDLE_TO_FD`: a new descriptor of the GEM object's dma-buf.
pub(crate) fn export_prime(fd: BorrowedFd<'_>, handle: u32, flags: u32) -> io::Result<OwnedFd> {
    let prime = retry(|| drm_ffi::gem::handle_to_fd(fd, handle, flags))?;
    // SAFETY: on success the kernel has installed a new descriptor, which has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(prime.fd) })
}
