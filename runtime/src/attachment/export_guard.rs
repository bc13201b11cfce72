//! Descriptors that leave the library.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::buffer::attachment_core::AttachmentCore;
use crate::buffer::implicit_sync_error::ImplicitSyncError;
use crate::dmabuf::DmaBuf;
use crate::dmabuf::dmabuf_memory::DmaBufMemory;
use crate::fence::descriptor_error::DmaBufError;
use crate::ids::AttachmentId;
use crate::memory::backing::Backing;
use crate::sync_mode::SyncMode;

/// Pins a buffer while a holder outside the library has its descriptors: a Wayland client, an encoder,
/// the application itself. The caller that exported the buffer keeps the guard.
#[must_use = "the export ends when its guard is dropped"]
pub struct ExportGuard {
    core: Arc<AttachmentCore>,
    backing: Backing,
    fds: Vec<OwnedFd>,
}

impl ExportGuard {
    pub(crate) fn new(core: Arc<AttachmentCore>, backing: Backing) -> Result<Self, DmaBufError> {
        let fds = backing
            .dmabuf()
            .memories()
            .iter()
            .map(DmaBufMemory::duplicate_fd)
            .collect::<Result<_, _>>()?;
        Ok(Self { core, backing, fds })
    }

    /// The export's identity in [`SharedBuffer::attachments`](crate::SharedBuffer::attachments).
    pub fn id(&self) -> AttachmentId {
        self.core.id()
    }

    /// Whether uses of the buffer exchange fences with the holder through the dma-buf.
    pub fn sync_mode(&self) -> SyncMode {
        self.core.sync_mode()
    }

    /// Sets the synchronization mode. [`SyncMode::Explicit`] leaves the fences that are in the dma-buf
    /// until they have signalled.
    ///
    /// # Errors
    /// [`ImplicitSyncError`] by cause; the export is explicit then.
    pub fn set_sync_mode(&self, mode: SyncMode) -> Result<(), ImplicitSyncError> {
        self.core.set_sync_mode(mode)
    }

    /// The exported dma-bufs and the image's layout, whose planes name the memories by index.
    pub fn dmabuf(&self) -> &DmaBuf {
        self.backing.dmabuf()
    }

    /// Takes the descriptors, one for each memory, in order. The caller owns them; a second call
    /// returns none.
    pub fn take_fds(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.fds)
    }
}

impl fmt::Debug for ExportGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportGuard")
            .field("buffer", &self.core.buffer().name())
            .field("id", &self.core.id())
            .finish_non_exhaustive()
    }
}
