//! How a use touches a buffer.

/// Whether a use reads a buffer's pixels or may also change them.
///
/// The kernel's `dma_resv_usage_rw` draws the same line: readers wait for writers, writers wait for
/// everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    /// Reads only. Several readers may run at the same time.
    Read,
    /// Writes, or reads and writes.
    Write,
}
