//! Steady flips between framebuffers.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result, bail};
use drm_ffi::{
    DRM_EVENT_FLIP_COMPLETE, DRM_MODE_ATOMIC_NONBLOCK, DRM_MODE_PAGE_FLIP_EVENT, drm_mode_atomic,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Display;
use super::display::get;
use super::framebuffer::Framebuffer;

mod request {
    //! Of `drm.h`.
    use drm_ffi::drm_mode_atomic;
    use nix::ioctl_readwrite;

    ioctl_readwrite!(atomic, b'd', 0xbc, drm_mode_atomic);
}

/// Flips one plane of a display that is already on.
#[derive(Debug)]
pub struct Flips {
    file: OwnedFd,
    plane: u32,
    /// FB_ID and IN_FENCE_FD.
    properties: [u32; 2],
}

impl Flips {
    /// Flips of the display's primary plane, through the same open card.
    ///
    /// # Errors
    /// When the driver lacks in-fences.
    pub fn new(file: OwnedFd, display: &Display) -> Result<Self> {
        Ok(Self {
            file,
            plane: display.plane.into(),
            properties: [
                get(&display.plane_properties, "FB_ID")?.into(),
                get(&display.plane_properties, "IN_FENCE_FD")?.into(),
            ],
        })
    }

    /// Shows `framebuffer` from the next vertical blank on, not before `fence` has signalled (`None`:
    /// it has): one ATOMIC ioctl that does not wait.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn flip<'a>(
        &self,
        framebuffer: &Framebuffer,
        fence: impl Into<Option<BorrowedFd<'a>>>,
    ) -> Result<()> {
        let count = 2_u32;
        let fence = fence.into().map_or(-1, |fence| fence.as_raw_fd());
        // As the kernel reads it: a signed number of 64 bits.
        let values = [u64::from(framebuffer.0), i64::from(fence).cast_unsigned()];
        let mut atomic = drm_mode_atomic {
            flags: DRM_MODE_ATOMIC_NONBLOCK | DRM_MODE_PAGE_FLIP_EVENT,
            count_objs: 1,
            objs_ptr: (&raw const self.plane) as u64,
            count_props_ptr: (&raw const count) as u64,
            props_ptr: self.properties.as_ptr() as u64,
            prop_values_ptr: values.as_ptr() as u64,
            ..Default::default()
        };
        // SAFETY: the struct is the ioctl's own; its arrays live until after the call and have the
        // lengths that are given.
        unsafe { request::atomic(self.file.as_raw_fd(), &mut atomic) }.context("ATOMIC")?;
        Ok(())
    }

    /// Waits until the flip is done.
    ///
    /// # Errors
    /// When it is not within a second.
    pub fn wait(&self) -> Result<()> {
        let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(1000_u16))? == 0 {
            bail!("no flip within a second");
        }
        let mut event = [0_u8; 32];
        let length = nix::unistd::read(&self.file, &mut event)?;
        if length < 4 || event[..4] != DRM_EVENT_FLIP_COMPLETE.to_ne_bytes() {
            bail!("an event that is not a flip");
        }
        Ok(())
    }
}
