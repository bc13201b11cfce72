//! Why an importer refused a buffer.

use crate::box_error::BoxError;
use crate::fence::descriptor_error::DmaBufError;
use crate::image::extent::Extent;
use crate::image::fourcc::Fourcc;
use crate::image::layout_error::LayoutError;
use crate::image::modifier::Modifier;
use crate::memory::placement::Placement;

/// Why an importer refused a buffer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The layout is wrong in itself.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The device does not know the format, for these uses.
    #[error("{importer} cannot import {format}; it takes {supported:?}")]
    UnsupportedFormat {
        /// The importer.
        importer: String,
        /// The format.
        format: Fourcc,
        /// What it takes, as far as it says.
        supported: Vec<Fourcc>,
    },
    /// The device knows the format, but not with this modifier.
    #[error("{importer} cannot import {format} with modifier {modifier}; it takes {supported:?}")]
    UnsupportedModifier {
        /// The importer.
        importer: String,
        /// The format.
        format: Fourcc,
        /// The buffer's modifier.
        modifier: Modifier,
        /// What it takes.
        supported: Vec<Modifier>,
    },
    /// The modifier asks for another number of planes than the buffer has.
    #[error(
        "{importer} expects {expected} plane(s) for {format} with modifier {modifier}, the buffer has {given}"
    )]
    PlaneCount {
        /// The importer.
        importer: String,
        /// The format.
        format: Fourcc,
        /// The modifier.
        modifier: Modifier,
        /// Planes that the device expects.
        expected: usize,
        /// Planes that the buffer has.
        given: usize,
    },
    /// Planes lie in several memories, and the device wants them in one.
    #[error("{importer} cannot import {format} with planes in several dma-bufs: {reason}")]
    Disjoint {
        /// The importer.
        importer: String,
        /// The format.
        format: Fourcc,
        /// What is in the way.
        reason: &'static str,
    },
    /// The image is larger than the device can read.
    #[error("{importer} cannot import an image of {extent}: its limit is {maximum}")]
    TooLarge {
        /// The importer.
        importer: String,
        /// The image's size.
        extent: Extent,
        /// The device's limit.
        maximum: Extent,
    },
    /// The image is smaller than the device can read.
    #[error("{importer} cannot import an image of {extent}: it takes no less than {minimum}")]
    TooSmall {
        /// The importer.
        importer: String,
        /// The image's size.
        extent: Extent,
        /// The device's limit.
        minimum: Extent,
    },
    /// The memory has fewer bytes than the device needs for this image.
    #[error("{importer} needs {required} bytes for this image, the dma-buf has {actual}")]
    MemoryTooSmall {
        /// The importer.
        importer: String,
        /// Bytes that the device needs.
        required: u64,
        /// Bytes that the dma-buf has.
        actual: u64,
    },
    /// The device cannot read memory of this kind or in this place.
    #[error("{importer} cannot use memory in {placement}: {reason}")]
    Unreachable {
        /// The importer.
        importer: String,
        /// Where the memory is.
        placement: Placement,
        /// The device's reason.
        reason: String,
    },
    /// The device lacks something that importing needs.
    #[error("{importer} cannot import dma-bufs: it lacks {missing}")]
    MissingFeature {
        /// The importer.
        importer: String,
        /// The extension or capability.
        missing: &'static str,
    },
    /// The driver looked at the memory and its layout and refused them, without a reason that can be
    /// told apart. It would refuse them again.
    #[error("{importer} refuses the buffer in {operation}")]
    Refused {
        /// The importer.
        importer: String,
        /// The device's operation.
        operation: &'static str,
        /// Its error.
        source: BoxError,
    },
    /// A dma-buf operation failed.
    #[error(transparent)]
    DmaBuf(#[from] DmaBufError),
    /// An operation of the device failed.
    #[error("{operation} failed on {importer}")]
    Device {
        /// The importer.
        importer: String,
        /// The device's operation.
        operation: &'static str,
        /// Its error.
        source: BoxError,
    },
}

impl ImportError {
    /// Whether the device cannot use such a buffer at all, now or later: a shadow is the way then
    /// ([`route`](crate::route)). The others are failures that may pass, of memory or descriptors.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::DmaBuf(_) | Self::Device { .. })
    }
}
