//! A dma-buf becomes a framebuffer.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result};
use drm_ffi::{
    DRM_MODE_FB_MODIFIERS, drm_gem_close, drm_mode_closefb, drm_mode_fb_cmd2, drm_prime_handle,
};

use super::Plane;

mod request {
    //! Of `drm.h`.
    use drm_ffi::{drm_gem_close, drm_mode_closefb, drm_mode_fb_cmd2, drm_prime_handle};
    use nix::{ioctl_readwrite, ioctl_write_ptr};

    ioctl_write_ptr!(gem_close, b'd', 0x09, drm_gem_close);
    ioctl_readwrite!(prime_fd_to_handle, b'd', 0x2e, drm_prime_handle);
    ioctl_readwrite!(add_fb2, b'd', 0xb8, drm_mode_fb_cmd2);
    ioctl_readwrite!(close_fb, b'd', 0xd0, drm_mode_closefb);
}

/// Makes framebuffers of one kind on one open card.
#[derive(Debug)]
pub struct Framebuffers {
    file: OwnedFd,
    template: drm_mode_fb_cmd2,
}

/// A framebuffer's id, until [`Framebuffers::close`].
#[derive(Debug, PartialEq, Eq)]
pub struct Framebuffer(pub(super) u32);

impl Framebuffer {
    /// The kernel's id, not 0.
    pub fn id(&self) -> u32 {
        self.0
    }
}

impl Framebuffers {
    /// Framebuffers of dma-bufs that hold images of this kind; `file` is an open card.
    ///
    /// # Errors
    /// When an offset is beyond what a framebuffer can have.
    pub fn new(
        file: OwnedFd,
        fourcc: u32,
        (width, height): (u32, u32),
        modifier: u64,
        planes: &[Plane],
    ) -> Result<Self> {
        let mut template = drm_mode_fb_cmd2 {
            width,
            height,
            pixel_format: fourcc,
            flags: DRM_MODE_FB_MODIFIERS,
            ..Default::default()
        };
        for (index, plane) in planes.iter().enumerate() {
            // Which planes are used: the handles are filled in for each dma-buf.
            template.handles[index] = u32::MAX;
            template.pitches[index] = plane.stride;
            template.offsets[index] = u32::try_from(plane.offset)?;
            template.modifier[index] = modifier;
        }
        Ok(Self { file, template })
    }

    /// PRIME import, ADDFB2, and GEM_CLOSE: the framebuffer holds the memory.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn add(&self, dmabuf: BorrowedFd<'_>) -> Result<Framebuffer> {
        let file = self.file.as_raw_fd();
        let mut prime = drm_prime_handle {
            fd: dmabuf.as_raw_fd(),
            ..Default::default()
        };
        // SAFETY: the struct is the ioctl's own; both descriptors are open.
        unsafe { request::prime_fd_to_handle(file, &mut prime) }.context("PRIME_FD_TO_HANDLE")?;
        let mut command = self.template;
        for handle in command.handles.iter_mut().filter(|handle| **handle != 0) {
            *handle = prime.handle;
        }
        // SAFETY: the struct is the ioctl's own and the file is open.
        let added = unsafe { request::add_fb2(file, &mut command) };
        let close = drm_gem_close {
            handle: prime.handle,
            ..Default::default()
        };
        // SAFETY: as above.
        unsafe { request::gem_close(file, &close) }.context("GEM_CLOSE")?;
        added.context("ADDFB2")?;
        Ok(Framebuffer(command.fb_id))
    }

    /// CLOSEFB: what shows the framebuffer goes on showing it.
    ///
    /// # Errors
    /// When the kernel refuses (`EINVAL` before Linux 6.8).
    pub fn close(&self, framebuffer: Framebuffer) -> Result<()> {
        let mut close = drm_mode_closefb {
            fb_id: framebuffer.0,
            ..Default::default()
        };
        // SAFETY: the struct is the ioctl's own and the file is open.
        unsafe { request::close_fb(self.file.as_raw_fd(), &mut close) }.context("CLOSEFB")?;
        Ok(())
    }
}
