//! How a use accesses a buffer.

/// Whether a use only reads a buffer or may also write it.
///
/// As in the kernel's `dma_resv_usage_rw`, readers wait for writers, and writers wait for readers and
/// writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    /// Only reads. Several readers may run at the same time.
    Read,
    /// Writes, and may read.
    Write,
}
