//! Who makes buffers that can move.

use crate::fence::Fence;
use crate::fence::set::FenceSet;
use crate::image::buffer_desc::BufferDesc;
use crate::memory::backing::{Allocation, Backing};
use crate::memory::constraint::AccessConstraint;
use crate::memory::export_error::ExportError;
use crate::memory::exporter::Exporter;
use crate::memory::placement::Placements;
use crate::memory::pool::BackingPool;

/// What became of a copy; see [`DynamicExporter::copy`].
#[derive(Clone, Debug)]
pub enum Copied {
    /// It is done, or on its way behind the fences it had to wait for: this one signals with it.
    By(Fence),
    /// A fence is pending that the device cannot wait for by itself. Nothing was done; ask again
    /// when the fences are over.
    NotYet,
}

/// An exporter that can move a buffer's content between places: the kernel's `dma_buf_ops` with
/// `pin` and `unpin` (`dma_buf_is_dynamic`).
///
/// The runtime owns the contract: it decides when a move may happen, tells the importers, and orders
/// everyone's work by fences. An exporter makes memory, copies, and takes memory back.
pub trait DynamicExporter: Exporter {
    /// Where a buffer of this description can be.
    ///
    /// # Errors
    /// As [`Exporter::modifiers`].
    fn placements(&self, desc: &BufferDesc) -> Result<Placements, ExportError>;

    /// Makes memory that fits `wanted`, in the first of its placements that the exporter has, with
    /// no content; from a pool if it has one. No reservation is held, so it may take its time. On
    /// error nothing is left behind.
    ///
    /// # Errors
    /// [`ExportError`] by cause; [`ExportError::NoPlacement`] if it has none of the placements.
    fn allocate_in(
        &self,
        desc: &BufferDesc,
        wanted: &AccessConstraint,
    ) -> Result<Allocation, ExportError>;

    /// Copies the content of `from` to `to` once `after` is over, both of this exporter. No
    /// reservation is held, but everyone who wants to use the buffer waits: it queues the copy on a
    /// device or does it, and does not wait for `after`. Whatever the copy needs (both images, a
    /// command buffer) lives until it is done, even if the backings are dropped.
    ///
    /// # Errors
    /// [`ExportError::Device`]: nothing was copied and nothing is on its way; the buffer stays where
    /// it was.
    fn copy(
        &self,
        desc: &BufferDesc,
        from: &Backing,
        to: &Backing,
        after: &FenceSet,
    ) -> Result<Copied, ExportError>;

    /// Takes back memory that no buffer has and no importer maps, to be used again or freed once
    /// the fences are over. Does not block.
    fn recycle(&self, desc: &BufferDesc, allocation: Allocation, after: FenceSet);

    /// The pool in which the exporter keeps memory for its next buffers, if it has one; its clones
    /// share it. A [`Residency`](crate::Residency) counts what is in it, and takes out what does not
    /// fit into the budget.
    fn pool(&self) -> Option<&BackingPool> {
        None
    }

    /// The buffer's first pin (`dma_buf_ops.pin`): its memory is held where it is until
    /// [`unpin`](Self::unpin). An exporter whose memory others could move (a kernel driver with
    /// pageable memory) says here that they must not. Does not block and calls nothing of this crate.
    ///
    /// # Errors
    /// [`ExportError::Device`]: the pin is refused.
    fn pin(&self, backing: &Backing) -> Result<(), ExportError> {
        let _ = backing;
        Ok(())
    }

    /// The buffer's last pin has gone (`dma_buf_ops.unpin`). As [`pin`](Self::pin).
    fn unpin(&self, backing: &Backing) {
        let _ = backing;
    }
}
