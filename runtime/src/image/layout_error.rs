//! Errors of descriptions and layouts.

use crate::image::extent::Extent;
use crate::image::fourcc::Fourcc;
use crate::image::modifier::Modifier;

/// A description or memory layout that is not valid.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayoutError {
    /// The text is not a pixel format.
    #[error(
        "{text:?} is not a pixel format: use a four-character code such as XR24, or a name such as XRGB8888"
    )]
    NotAFourcc {
        /// The text that was parsed.
        text: String,
    },
    /// The format's memory layout is not known.
    #[error("the memory layout of format {format} is not known, so it cannot be checked")]
    UnknownFormat {
        /// The format.
        format: Fourcc,
    },
    /// The buffer has no name.
    #[error("a buffer needs a name, by which leaks are found")]
    EmptyName,
    /// Width or height is zero.
    #[error("an image of {extent} pixels is empty")]
    EmptyExtent {
        /// The extent that was requested.
        extent: Extent,
    },
    /// The width or height is not a multiple of the format's chroma subsampling, as the device requires.
    #[error(
        "{format} images need a width and height that are multiples of the chroma subsampling, not {extent}"
    )]
    OddExtent {
        /// The format.
        format: Fourcc,
        /// The extent that was requested.
        extent: Extent,
    },
    /// A view format has other planes or another pixel size than the image.
    #[error("views of {format} cannot have format {view}: their planes differ")]
    ViewFormat {
        /// The image's format.
        format: Fourcc,
        /// The view's.
        view: Fourcc,
    },
    /// The modifier is `DRM_FORMAT_MOD_INVALID`.
    #[error(
        "the modifier of this {format} buffer is INVALID (implicit): only the driver that allocated it knows its layout, so it cannot be shared; allocate it with an explicit modifier"
    )]
    ImplicitModifier {
        /// The format.
        format: Fourcc,
    },
    /// There are too few or too many planes.
    #[error(
        "{format} with modifier {modifier} has {expected} plane(s), and at most 4 with those that a modifier adds, but {given} were given"
    )]
    PlaneCount {
        /// The format.
        format: Fourcc,
        /// The modifier.
        modifier: Modifier,
        /// Planes of the format itself.
        expected: usize,
        /// Planes that were given.
        given: usize,
    },
    /// A plane refers to a memory that does not exist.
    #[error("plane {plane} is in memory {memory}, which does not exist")]
    NoSuchMemory {
        /// The plane.
        plane: usize,
        /// The memory's index.
        memory: usize,
    },
    /// The dma-buf's format or extent differs from its description.
    #[error("the description says {} of {}, but the dma-buf is {} of {}", asked.0, asked.1, given.0, given.1)]
    DescMismatch {
        /// Format and extent of the description.
        asked: (Fourcc, Extent),
        /// Format and extent of the dma-buf.
        given: (Fourcc, Extent),
    },
    /// The stride is smaller than a row, so rows would overlap.
    #[error("plane {plane}: a stride of {stride} bytes is less than the {needed} bytes of a row")]
    StrideTooSmall {
        /// The plane.
        plane: usize,
        /// The stride in bytes.
        stride: u32,
        /// Bytes of one row.
        needed: u64,
    },
    /// A plane does not fit into its memory.
    #[error("plane {plane} ends {}, but its memory has {memory_size} bytes", match end { Some(end) => format!("at byte {end}"), None => "past the last address".to_owned() })]
    PlanePastEnd {
        /// The plane.
        plane: usize,
        /// End of the plane in its memory, in bytes; `None` on overflow.
        end: Option<u64>,
        /// The memory's size in bytes.
        memory_size: u64,
    },
}
