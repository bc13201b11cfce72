//! Exporters of buffers.

use std::fmt;

use crate::fence::Fence;
use crate::image::buffer_desc::BufferDesc;
use crate::image::modifier::Modifier;
use crate::memory::backing::{Allocation, Backing};
use crate::memory::export_error::ExportError;

/// A source of dma-buf memory: a Vulkan device, a dma-heap, a display's dumb buffers.
///
/// Implementations are cheap handles. Each buffer keeps a clone.
pub trait Exporter: Send + Sync + fmt::Debug {
    /// Name for reports and errors, such as "Vulkan llvmpipe" or "dma-heap system".
    fn name(&self) -> &str;

    /// The modifiers with which the exporter can allocate `desc`, best first.
    ///
    /// # Errors
    /// [`ExportError::UnsupportedFormat`], [`ExportError::TooLarge`] and the like if there is none.
    fn modifiers(&self, desc: &BufferDesc) -> Result<Vec<Modifier>, ExportError>;

    /// Allocates a buffer with one of `modifiers` and exports it. On error nothing is left allocated.
    ///
    /// # Errors
    /// [`ExportError`] by cause.
    fn allocate(
        &self,
        desc: &BufferDesc,
        modifiers: &[Modifier],
    ) -> Result<Allocation, ExportError>;

    /// Prepares memory that this exporter has allocated for use outside the exporter: a
    /// device is about to import it, or its descriptors are about to leave the library. The exporter
    /// does or submits the work that it has deferred until now (an image's first layout transition),
    /// as in the kernel's `dma_buf_ops.map_dma_buf`. Returns the fence of work in flight, which all uses
    /// wait for, as for a move.
    ///
    /// Called before *every* import and export, by several threads at once, with no buffer locked. The
    /// exporter must do the work only once, and return its fence to each caller while it is pending.
    /// Must not wait for work.
    ///
    /// # Errors
    /// [`ExportError`] by cause. The memory is not mapped or exported then, and the next import or
    /// export calls this again.
    fn prepare(&self, backing: &Backing) -> Result<Option<Fence>, ExportError> {
        let _ = backing;
        Ok(None)
    }
}
