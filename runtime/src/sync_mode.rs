//! Who keeps track of the fences between an attachment and the others.

use serde::Serialize;

/// How the uses of a buffer are ordered with what is outside the library's sight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncMode {
    /// By the fences in the buffer's reservation, and by those that the application adds
    /// ([`SharedBuffer::add_fence`](crate::SharedBuffer::add_fence)). A dma-buf's own fences are not
    /// looked at. No use takes a system call for this.
    #[default]
    Explicit,
    /// By the dma-buf's own fences as well: for a device whose driver adds its fences there and looks
    /// for those of others there, and for holders of the descriptors who know nothing else.
    ///
    /// While anyone is attached like this, the buffer has a foreign holder, and every use of it by
    /// anyone waits for the dma-buf's own fences (`DMA_BUF_IOCTL_EXPORT_SYNC_FILE`) and adds its own
    /// there (`DMA_BUF_IOCTL_IMPORT_SYNC_FILE`). For each use that is three ioctls for each memory of
    /// the buffer, and once what a sync_file of the use's fence costs.
    Implicit,
}
