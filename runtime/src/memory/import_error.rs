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
    /// The layout itself is not valid.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The device does not support the format for these uses.
    #[error("{importer} cannot import {format}; it supports {supported:?}")]
    UnsupportedFormat {
        /// Name of the importer.
        importer: String,
        /// The pixel format.
        format: Fourcc,
        /// The formats that the device supports, as far as it reports them.
        supported: Vec<Fourcc>,
    },
    /// The device supports the format, but not with this modifier.
    #[error(
        "{importer} cannot import {format} with modifier {modifier}; it supports {supported:?}"
    )]
    UnsupportedModifier {
        /// Name of the importer.
        importer: String,
        /// The pixel format.
        format: Fourcc,
        /// The buffer's modifier.
        modifier: Modifier,
        /// The modifiers that the device supports.
        supported: Vec<Modifier>,
    },
    /// The buffer does not have the number of planes that the modifier requires.
    #[error(
        "{importer} expects {expected} plane(s) for {format} with modifier {modifier}, but the buffer has {given}"
    )]
    PlaneCount {
        /// Name of the importer.
        importer: String,
        /// The pixel format.
        format: Fourcc,
        /// The modifier.
        modifier: Modifier,
        /// Planes that the device expects.
        expected: usize,
        /// Planes that the buffer has.
        given: usize,
    },
    /// The planes are in several dma-bufs, and the device requires one.
    #[error("{importer} cannot import {format} with planes in several dma-bufs: {reason}")]
    Disjoint {
        /// Name of the importer.
        importer: String,
        /// The pixel format.
        format: Fourcc,
        /// Why the device requires one dma-buf.
        reason: &'static str,
    },
    /// The image is larger than the device supports.
    #[error("{importer} cannot import an image of {extent}: its limit is {maximum}")]
    TooLarge {
        /// Name of the importer.
        importer: String,
        /// Size of the image.
        extent: Extent,
        /// The device's limit.
        maximum: Extent,
    },
    /// The image is smaller than the device supports.
    #[error("{importer} cannot import an image of {extent}: its minimum is {minimum}")]
    TooSmall {
        /// Name of the importer.
        importer: String,
        /// Size of the image.
        extent: Extent,
        /// The device's limit.
        minimum: Extent,
    },
    /// The dma-buf is smaller than the device requires for this image.
    #[error("{importer} needs {required} bytes for this image, but the dma-buf has {actual}")]
    MemoryTooSmall {
        /// Name of the importer.
        importer: String,
        /// Bytes that the device needs.
        required: u64,
        /// Bytes that the dma-buf has.
        actual: u64,
    },
    /// The device cannot access memory of this kind or placement.
    #[error("{importer} cannot use memory in {placement}: {reason}")]
    Unreachable {
        /// Name of the importer.
        importer: String,
        /// Where the memory is.
        placement: Placement,
        /// The device's reason.
        reason: String,
    },
    /// The device lacks an extension or capability that importing needs.
    #[error("{importer} cannot import dma-bufs: it lacks {missing}")]
    MissingFeature {
        /// Name of the importer.
        importer: String,
        /// Name of the extension or capability.
        missing: &'static str,
    },
    /// The driver refused the memory or its layout without a more specific reason. It would refuse
    /// them again.
    #[error("{importer} refuses the buffer in {operation}")]
    Refused {
        /// Name of the importer.
        importer: String,
        /// The call that failed.
        operation: &'static str,
        /// Error returned by the device.
        source: BoxError,
    },
    /// A dma-buf operation failed.
    #[error(transparent)]
    DmaBuf(#[from] DmaBufError),
    /// A call to the device's driver failed.
    #[error("{operation} failed on {importer}")]
    Device {
        /// Name of the importer.
        importer: String,
        /// The call that failed.
        operation: &'static str,
        /// Error returned by the device.
        source: BoxError,
    },
}

impl ImportError {
    /// Whether the device can never use such a buffer directly, so that it needs a shadow
    /// ([`route`](crate::route)). Other errors may be temporary, such as a lack of memory or descriptors.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::DmaBuf(_) | Self::Device { .. })
    }
}
