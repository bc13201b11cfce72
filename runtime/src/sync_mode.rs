//! Explicit and implicit synchronisation of an attachment.

use serde::Serialize;

/// How uses of a buffer are ordered with work that the library does not see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncMode {
    /// By the fences in the buffer's reservation, and those that the application adds
    /// ([`SharedBuffer::add_fence`](crate::SharedBuffer::add_fence)). The dma-buf's own fences are
    /// ignored, and a use makes no system call to synchronise, unless the buffer has a foreign holder
    /// ([`Implicit`](Self::Implicit)).
    #[default]
    Explicit,
    /// By the dma-buf's own fences as well. This is for a device whose driver adds its fences to the
    /// dma-buf and waits for those that it finds there, and for foreign holders of the descriptors,
    /// which see no other fences.
    ///
    /// While any attachment has this mode, the buffer counts as having a foreign holder. Then each use,
    /// through any attachment, waits for the dma-buf's own fences (`DMA_BUF_IOCTL_EXPORT_SYNC_FILE`)
    /// and adds its own (`DMA_BUF_IOCTL_IMPORT_SYNC_FILE`). Each use costs three ioctls per memory of the
    /// buffer (export, a query of the exported fences' status, import), plus one export of its own fence
    /// as a sync_file.
    Implicit,
}
