//! Who makes buffers.

use std::fmt;

use crate::{Allocation, BufferDesc, ExportError, Modifier};

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
}
