//! A fence that needs no waiting.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result};

/// `DMA_BUF_SYNC_READ` of `linux/dma-buf.h`.
const DMA_BUF_SYNC_READ: u32 = 1;

mod request {
    //! Of `linux/dma-buf.h`.

    /// `struct dma_buf_export_sync_file`.
    #[derive(Debug)]
    #[repr(C)]
    pub(super) struct ExportSyncFile {
        pub(super) flags: u32,
        pub(super) fd: i32,
    }

    nix::ioctl_readwrite!(export_sync_file, b'b', 2, ExportSyncFile);
}

/// The fences of an idle dma-buf as a sync_file (`DMA_BUF_IOCTL_EXPORT_SYNC_FILE`): one that has
/// signalled already.
///
/// # Errors
/// When the kernel refuses.
pub fn signalled_fence(dmabuf: BorrowedFd<'_>) -> Result<OwnedFd> {
    let mut export = request::ExportSyncFile {
        flags: DMA_BUF_SYNC_READ,
        fd: -1,
    };
    // SAFETY: the struct is the ioctl's own; the descriptor is open.
    unsafe { request::export_sync_file(dmabuf.as_raw_fd(), &mut export) }
        .context("DMA_BUF_IOCTL_EXPORT_SYNC_FILE")?;
    // SAFETY: the ioctl gave a new descriptor, owned by its caller.
    Ok(unsafe { OwnedFd::from_raw_fd(export.fd) })
}
