//! GEM handles, reference-counted per open file.
//!
//! A handle belongs to the open file, and the kernel does not count its users: importing the same
//! dma-buf twice returns the same handle. It must therefore be closed exactly once, by its last user,
//! and never between another thread's import of the same dma-buf and that thread's use of the handle.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use dmashare::DmaBufMemory;

use crate::device::DrmDevice;
use crate::sys::{retry, retry_idempotent};

/// One user of a GEM handle. Dropping the last user closes the handle.
pub(crate) struct GemHandle {
    device: Arc<DrmDevice>,
    handle: u32,
}

impl GemHandle {
    /// Imports a dma-buf (`DRM_IOCTL_PRIME_FD_TO_HANDLE`).
    pub(crate) fn import(device: &Arc<DrmDevice>, memory: &DmaBufMemory) -> io::Result<Self> {
        let fd: BorrowedFd<'_> = memory.as_fd();
        // A repeated import returns the same handle, so a retry cannot leak one.
        let handle = device.gem().open(|| {
            let import = || drm_ffi::gem::fd_to_handle(device.as_fd(), fd);
            retry_idempotent(import).map(|prime| prime.handle)
        })?;
        Ok(Self {
            device: device.clone(),
            handle,
        })
    }

    /// Creates a dumb buffer (`DRM_IOCTL_MODE_CREATE_DUMB`), and returns its pitch and size in bytes.
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

    /// The raw handle.
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
