//! Why the CPU could not read or write a buffer.

use crate::fence::descriptor_error::DmaBufError;
use crate::image::modifier::Modifier;

/// Why the CPU could not read or write a buffer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CpuAccessError {
    /// Only linear memory has rows that a CPU can address.
    #[error("a buffer with modifier {modifier} has no rows that the CPU can address")]
    NotLinear {
        /// The modifier.
        modifier: Modifier,
    },
    /// No such plane or row, or more bytes than a row has.
    #[error("plane {plane} has no {bytes} bytes in row {row}")]
    OutOfBounds {
        /// The plane.
        plane: usize,
        /// The row.
        row: u32,
        /// Bytes asked for.
        bytes: usize,
    },
    /// Rows are copied between images of one format and extent only.
    #[error("the two images differ in format or extent")]
    Mismatch,
    /// A plane cannot be seen as samples of this size.
    #[error("plane {plane} has {bytes} byte(s) for a sample, which is no multiple of {asked}")]
    SampleSize {
        /// The plane.
        plane: usize,
        /// Bytes of one of its samples ([`PlaneInfo::bytes_per_sample`](crate::PlaneInfo)).
        bytes: usize,
        /// Bytes of the samples that were asked for.
        asked: usize,
    },
    /// The guard was taken for reading.
    #[error("this CPU access is for reading only")]
    ReadOnly,
    /// A system call failed.
    #[error(transparent)]
    DmaBuf(#[from] DmaBufError),
}
