//! Why an exporter could not make a buffer.

use crate::box_error::BoxError;
use crate::fence::descriptor_error::DmaBufError;
use crate::image::extent::Extent;
use crate::image::fourcc::Fourcc;
use crate::image::layout_error::LayoutError;
use crate::image::modifier::Modifier;

/// Why an exporter could not make a buffer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The description is wrong in itself.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Protected memory is not offered.
    #[error("'{name}' asks for protected memory, which no exporter here offers")]
    ProtectedMemory {
        /// The buffer's name.
        name: String,
    },
    /// The device cannot make this format for these uses at all.
    #[error("{exporter} cannot export {format} for {usage:?}")]
    UnsupportedFormat {
        /// The exporter.
        exporter: String,
        /// The format.
        format: Fourcc,
        /// The uses.
        usage: crate::image::buffer_desc::Usage,
    },
    /// The device can make the format, but with none of the modifiers that were asked for.
    #[error(
        "{exporter} cannot export {format} with any of the modifiers {asked:?}; it offers {offered:?}"
    )]
    UnsupportedModifier {
        /// The exporter.
        exporter: String,
        /// The format.
        format: Fourcc,
        /// What was asked for.
        asked: Vec<Modifier>,
        /// What there is.
        offered: Vec<Modifier>,
    },
    /// The image is larger than the device can make.
    #[error("{exporter} cannot export an image of {extent}: its limit is {maximum}")]
    TooLarge {
        /// The exporter.
        exporter: String,
        /// What was asked for.
        extent: Extent,
        /// The device's limit for this format and these uses.
        maximum: Extent,
    },
    /// The exporter has none of the placements that were asked for.
    #[error("{exporter} cannot make memory in {wanted}; it offers {offered}")]
    NoPlacement {
        /// The exporter.
        exporter: String,
        /// What was asked for.
        wanted: crate::memory::placement::Placements,
        /// What there is.
        offered: crate::memory::placement::Placements,
    },
    /// Residency has no room for it.
    #[error("there is no room for '{name}'")]
    NoSpace {
        /// The buffer's name.
        name: String,
        /// Why not.
        source: Box<crate::memory::no_room_error::ResidencyError>,
    },
    /// This thread holds a reservation: it has an open submission, or is in an invalidate callback.
    #[error(
        "'{name}' cannot be made now: this thread has an open submission, or is in an invalidate callback"
    )]
    WouldDeadlock {
        /// The buffer's name.
        name: String,
    },
    /// What the device exported is not what it said: the dma-buf is smaller than its image.
    #[error("{exporter} exported a dma-buf of {actual} bytes for an image that needs {required}")]
    MemoryTooSmall {
        /// The exporter.
        exporter: String,
        /// Bytes that the image needs.
        required: u64,
        /// Bytes that the dma-buf has.
        actual: u64,
    },
    /// The exported dma-buf failed its checks.
    #[error("the exported dma-buf is not valid")]
    DmaBuf(#[from] DmaBufError),
    /// The device lacks something that exporting needs.
    #[error("{exporter} cannot export dma-bufs: it lacks {missing}")]
    MissingFeature {
        /// The exporter.
        exporter: String,
        /// The extension or feature.
        missing: &'static str,
    },
    /// An operation of the device failed.
    #[error("{operation} failed on {exporter}")]
    Device {
        /// The exporter.
        exporter: String,
        /// The device's operation.
        operation: &'static str,
        /// Its error.
        source: BoxError,
    },
}
