//! Explicit and implicit synchronisation of an attachment.

use serde::Serialize;

/// How uses of a buffer are ordered with work that the library does not see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncMode {
    /// By the fences in the buffer's reservation, and those that the application adds
    /// ([`SharedBuffer::add_fence`](crate::SharedBuffer::add_fence)). The dma-buf's own fences are
    /// ignored, and no use takes a system call for this.
    #[default]
    Explicit,
    /// By the dma-buf's own fences as well. This is for a device whose driver adds its fences to the
    /// dma-buf and waits for those that it finds there, and for foreign holders of the descriptors,
    /// which see no other fences.
    ///
    /// While any attachment has this mode, the buffer counts as having a foreign holder. Then each use,
    /// through any attachment, waits for the dma-buf's own fences (`DMA_BUF_IOCTL_EXPORT_SYNC_FILE`)
    /// and adds its own (`DMA_BUF_IOCTL_IMPORT_SYNC_FILE`). A use costs three ioctls for each memory of
    /// the buffer, and the export of its fence as a sync_file once.
    Implicit,
}
