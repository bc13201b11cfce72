//! GEM handles, counted per open file.
//!
//! A handle belongs to the open file, is not counted by the kernel, and importing the same dma-buf
//! twice gives the same handle twice. So it must be closed exactly once, by its last user, and not
//! between another thread's import of the same dma-buf and its use of the handle.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use dmashare::DmaBufMemory;
use std::os::fd::AsFd;

use crate::device::DrmDevice;
use crate::sys::{retry, retry_idempotent};

/// One user of a GEM handle; the handle is closed with its last one.
pub(crate) struct GemHandle {
    device: Arc<DrmDevice>,
    handle: u32,
}

impl GemHandle {
    /// Imports a dma-buf (`DRM_IOCTL_PRIME_FD_TO_HANDLE`).
    pub(crate) fn import(device: &Arc<DrmDevice>, memory: &DmaBufMemory) -> io::Result<Self> {
        let fd: BorrowedFd<'_> = memory.as_fd();
        // Importing again gives the same handle, so one whose number got lost is found again.
        let handle = device.gem().open(|| {
            let import = || drm_ffi::gem::fd_to_handle(device.as_fd(), fd);
            retry_idempotent(import).map(|prime| prime.handle)
        })?;
        Ok(Self {
            device: device.clone(),
            handle,
        })
    }

    /// Makes a dumb buffer (`DRM_IOCTL_MODE_CREATE_DUMB`), and tells its pitch and size in bytes.
    pub(crate) fn create_dumb(
        device: &Arc<DrmDevice>,
        width: u32,
        height: u32,
        bits_per_pixel: u32,
    ) -> io::Result<(Self, u32, u64)> {
        let mut created = (0, 0);
        let handle = device.gem().open(|| {
            let dumb = retry(|| {
                drm_ffi::mode::dumbbuffer::create(device.as_fd(), width, height, bits_per_pixel, 0)
            })?;
            created = (dumb.pitch, dumb.size);
            Ok(dumb.handle)
        })?;
        let gem = Self {
            device: device.clone(),
            handle,
        };
        Ok((gem, created.0, created.1))
    }

    /// The number.
    pub(crate) fn raw(&self) -> u32 {
        self.handle
    }
}

impl Drop for GemHandle {
    fn drop(&mut self) {
        let fd = self.device.as_fd();
        self.device.gem().close(self.handle, || {
            if let Err(error) = retry_idempotent(|| drm_ffi::gem::close(fd, self.handle)) {
                tracing::error!(%error, handle = self.handle, "GEM_CLOSE failed");
            }
        });
    }
}

impl fmt::Debug for GemHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GemHandle").field(&self.handle).finish()
    }
}
