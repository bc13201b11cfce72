//! Why an exporter could not make a buffer.

use crate::box_error::BoxError;
use crate::fence::descriptor_error::DmaBufError;
use crate::image::buffer_desc::Usage;
use crate::image::extent::Extent;
use crate::image::fourcc::Fourcc;
use crate::image::layout_error::LayoutError;
use crate::image::modifier::Modifier;
use crate::memory::no_room_error::ResidencyError;
use crate::memory::placement::Placements;

/// Why an exporter could not make a buffer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The description itself is not valid.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// No exporter offers protected memory yet.
    #[error("'{name}' asks for protected memory, which no exporter offers")]
    ProtectedMemory {
        /// Name of the buffer.
        name: String,
    },
    /// The device cannot export this format for these uses, with any modifier.
    #[error("{exporter} cannot export {format} for {usage:?}")]
    UnsupportedFormat {
        /// Name of the exporter.
        exporter: String,
        /// The pixel format.
        format: Fourcc,
        /// The uses that were requested.
        usage: Usage,
    },
    /// The device can export the format, but with none of the requested modifiers.
    #[error(
        "{exporter} cannot export {format} with any of the modifiers {asked:?}; it offers {offered:?}"
    )]
    UnsupportedModifier {
        /// Name of the exporter.
        exporter: String,
        /// The pixel format.
        format: Fourcc,
        /// The modifiers that were requested.
        asked: Vec<Modifier>,
        /// The modifiers that the exporter offers.
        offered: Vec<Modifier>,
    },
    /// The image is larger than the device supports.
    #[error("{exporter} cannot export an image of {extent}: its limit is {maximum}")]
    TooLarge {
        /// Name of the exporter.
        exporter: String,
        /// The extent that was requested.
        extent: Extent,
        /// The device's limit for this format and these uses.
        maximum: Extent,
    },
    /// The exporter has none of the requested placements.
    #[error("{exporter} cannot allocate memory in {wanted}; it offers {offered}")]
    NoPlacement {
        /// Name of the exporter.
        exporter: String,
        /// The placements that were requested.
        wanted: Placements,
        /// The placements that the exporter offers.
        offered: Placements,
    },
    /// The residency has no room for the buffer.
    #[error("there is no room for '{name}'")]
    NoSpace {
        /// Name of the buffer.
        name: String,
        /// Why there is no room.
        source: Box<ResidencyError>,
    },
    /// This thread holds a reservation: it has an open submission, or is in an invalidate callback.
    #[error(
        "'{name}' cannot be made now: this thread has an open submission, or is in an invalidate callback"
    )]
    WouldDeadlock {
        /// Name of the buffer.
        name: String,
    },
    /// The exporter made memory that is not what was requested. The memory was given back.
    #[error("{exporter} made wrong memory for '{name}': {reason}")]
    WrongMemory {
        /// Name of the exporter.
        exporter: String,
        /// Name of the buffer.
        name: String,
        /// What is wrong: the format, the extent, the placement, the modifier or a stride.
        reason: String,
    },
    /// The device exported a dma-buf that is smaller than its image.
    #[error("{exporter} exported a dma-buf of {actual} bytes for an image that needs {required}")]
    MemoryTooSmall {
        /// Name of the exporter.
        exporter: String,
        /// Bytes that the image needs.
        required: u64,
        /// Bytes that the dma-buf has.
        actual: u64,
    },
    /// The exported dma-buf is not valid.
    #[error("the exported dma-buf is not valid")]
    DmaBuf(#[from] DmaBufError),
    /// The device lacks an extension or feature that exporting needs.
    #[error("{exporter} cannot export dma-bufs: it lacks {missing}")]
    MissingFeature {
        /// Name of the exporter.
        exporter: String,
        /// Name of the extension or feature.
        missing: &'static str,
    },
    /// A call to the device's driver failed.
    #[error("{operation} failed on {exporter}")]
    Device {
        /// Name of the exporter.
        exporter: String,
        /// The call that failed.
        operation: &'static str,
        /// Error returned by the device.
        source: BoxError,
    },
}
