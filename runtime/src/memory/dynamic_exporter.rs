//! Exporters of buffers that can move.

use crate::fence::Fence;
use crate::fence::set::FenceSet;
use crate::image::buffer_desc::BufferDesc;
use crate::memory::backing::{Allocation, Backing};
use crate::memory::constraint::AccessConstraint;
use crate::memory::export_error::ExportError;
use crate::memory::exporter::Exporter;
use crate::memory::placement::Placements;
use crate::memory::pool::BackingPool;

/// Result of [`DynamicExporter::copy`].
#[derive(Clone, Debug)]
pub enum Copied {
    /// The copy is done, or queued behind the fences that it waits for. This fence signals with it.
    By(Fence),
    /// The device cannot wait for one of the pending fences. Nothing was queued; call again when the
    /// fences are over.
    NotYet,
}

/// An exporter that can move a buffer's content between placements: the kernel's `dma_buf_ops` with
/// `pin` and `unpin` (`dma_buf_is_dynamic`).
///
/// The runtime decides when a move may happen, notifies the importers, and orders all work by fences.
/// The exporter allocates memory, copies, and takes memory back.
pub trait DynamicExporter: Exporter {
    /// Where the exporter can place a buffer of this description.
    ///
    /// # Errors
    /// As [`Exporter::modifiers`].
    fn placements(&self, desc: &BufferDesc) -> Result<Placements, ExportError>;

    /// Allocates memory that satisfies `wanted`, in the first of its placements that the exporter has.
    /// The content is undefined; the memory may come from a pool. No reservation is held, so this may
    /// be slow. On error nothing is left allocated.
    ///
    /// # Errors
    /// [`ExportError`] by cause; [`ExportError::NoPlacement`] if the exporter has none of the placements.
    fn allocate_in(
        &self,
        desc: &BufferDesc,
        wanted: &AccessConstraint,
    ) -> Result<Allocation, ExportError>;

    /// Copies the content of `from` to `to` once `after` is over. Both were allocated by this exporter.
    /// No reservation is held, but all users of the buffer wait, so this queues the copy on a device
    /// or performs it, and never waits for `after`. The exporter keeps what the copy needs (both images,
    /// a command buffer) until it is done, even if the backings are dropped.
    ///
    /// # Errors
    /// [`ExportError::Device`]: nothing was copied or queued; the buffer stays in its old memory.
    fn copy(
        &self,
        desc: &BufferDesc,
        from: &Backing,
        to: &Backing,
        after: &FenceSet,
    ) -> Result<Copied, ExportError>;

    /// Takes back memory that no buffer uses and no importer maps, to reuse or free it once `after` is
    /// over. Does not block.
    fn recycle(&self, desc: &BufferDesc, allocation: Allocation, after: FenceSet);

    /// The pool in which the exporter keeps memory for its next buffers, if it has one. Clones of the
    /// exporter share it. A [`Residency`](crate::Residency) counts the pooled memory, and takes out what
    /// does not fit into the budget.
    fn pool(&self) -> Option<&BackingPool> {
        None
    }

    /// Called for a buffer's first pin (`dma_buf_ops.pin`): its memory must not move until
    /// [`unpin`](Self::unpin). Needed by an exporter whose memory others can move, such as a kernel
    /// driver with pageable memory. Must not block or call this crate.
    ///
    /// # Errors
    /// [`ExportError::Device`]: the exporter refuses the pin.
    fn pin(&self, backing: &Backing) -> Result<(), ExportError> {
        let _ = backing;
        Ok(())
    }

    /// Called after a buffer's last pin is removed (`dma_buf_ops.unpin`). As for [`pin`](Self::pin), must
    /// not block or call this crate.
    fn unpin(&self, backing: &Backing) {
        let _ = backing;
    }
}
