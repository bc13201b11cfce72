//! Who makes buffers.

use std::fmt;

use crate::fence::Fence;
use crate::image::buffer_desc::BufferDesc;
use crate::image::modifier::Modifier;
use crate::memory::backing::{Allocation, Backing};
use crate::memory::export_error::ExportError;

/// A source of dma-buf memory: a Vulkan device, a dma-heap, a display's dumb buffers.
///
/// Implementations are cheap handles; `SharedBuffer` keeps one.
pub trait Exporter: Send + Sync + fmt::Debug {
    /// Who this is, for reports and errors: "Vulkan llvmpipe", "dma-heap system".
    fn name(&self) -> &str;

    /// The modifiers with which `desc` can be made, best first.
    ///
    /// # Errors
    /// [`ExportError::UnsupportedFormat`], [`ExportError::TooLarge`] and the like when there are
    /// none.
    fn modifiers(&self, desc: &BufferDesc) -> Result<Vec<Modifier>, ExportError>;

    /// Makes a buffer with one of `modifiers` and exports it. On error nothing is left behind.
    ///
    /// # Errors
    /// [`ExportError`] by cause.
    fn allocate(
        &self,
        desc: &BufferDesc,
        modifiers: &[Modifier],
    ) -> Result<Allocation, ExportError>;

    /// An importer is about to use memory that this exporter has made: a device makes its object of
    /// it, or its descriptors leave the library. What was put off until then (an image's first
    /// layout transition) is done or begun now, as in the kernel's `dma_buf_ops.map_dma_buf`.
    /// Whatever work is in flight is the fence that comes back: everyone's uses wait for it, as for
    /// a move.
    ///
    /// Called before *every* import and export, by several threads at once, with no buffer locked. So
    /// it does things once, and each caller gets the fence while it is pending. Must not wait for work.
    ///
    /// # Errors
    /// [`ExportError`] by cause. Then the memory is not mapped or exported, and the next one tries
    /// again.
    fn prepare(&self, backing: &Backing) -> Result<Option<Fence>, ExportError> {
        let _ = backing;
        Ok(None)
    }
}
