//! Why the CPU could not read or write a buffer.

use crate::fence::descriptor_error::DmaBufError;
use crate::image::modifier::Modifier;

/// Why the CPU could not read or write a buffer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CpuAccessError {
    /// The image is not linear, so it has no rows that the CPU can address.
    #[error("a buffer with modifier {modifier} has no rows that the CPU can address")]
    NotLinear {
        /// The modifier.
        modifier: Modifier,
    },
    /// The plane or row does not exist, or the row has fewer bytes.
    #[error("plane {plane} has no row {row} of at least {bytes} bytes")]
    OutOfBounds {
        /// Index of the plane.
        plane: usize,
        /// Index of the row.
        row: u32,
        /// End of the requested range in the row, in bytes.
        bytes: usize,
    },
    /// The images of a copy differ in format or extent.
    #[error("the two images differ in format or extent")]
    Mismatch,
    /// The plane's samples are not a multiple of the requested sample type.
    #[error("plane {plane} has samples of {bytes} byte(s), which is not a multiple of {asked}")]
    SampleSize {
        /// Index of the plane.
        plane: usize,
        /// Bytes of one of its samples ([`PlaneInfo::bytes_per_sample`](crate::PlaneInfo)).
        bytes: usize,
        /// Bytes of the requested sample type.
        asked: usize,
    },
    /// The access or the mapping is for reading only.
    #[error("this CPU access is for reading only")]
    ReadOnly,
    /// This thread may not wait now, and an access waits for the dma-buf's own fences.
    #[error(
        "the CPU may not access a buffer now: this thread has an open submission, or is in an invalidate callback"
    )]
    WouldDeadlock,
    /// A system call failed.
    #[error(transparent)]
    DmaBuf(#[from] DmaBufError),
}
