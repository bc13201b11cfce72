//! Descriptions and layouts that cannot be right.

use crate::image::extent::Extent;
use crate::image::fourcc::Fourcc;
use crate::image::modifier::Modifier;

/// A description or memory layout that cannot be right.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayoutError {
    /// The text names no pixel format.
    #[error(
        "{text:?} is no pixel format: give a four-character code such as XR24, or a name such as XRGB8888"
    )]
    NotAFourcc {
        /// What was given.
        text: String,
    },
    /// The format's memory layout is not known here.
    #[error("the memory layout of format {format} is not known, so it cannot be checked")]
    UnknownFormat {
        /// The format.
        format: Fourcc,
    },
    /// A buffer has no name.
    #[error("a buffer needs a name: it is how leaks are found")]
    EmptyName,
    /// Width or height is zero.
    #[error("an image of {extent} pixels is empty")]
    EmptyExtent {
        /// What was asked for.
        extent: Extent,
    },
    /// The chroma planes have less than one sample for each group of pixels, and the device wants
    /// whole groups.
    #[error("{format} images need a width and height that its chroma divides, {extent} is none")]
    OddExtent {
        /// The format.
        format: Fourcc,
        /// What was asked for.
        extent: Extent,
    },
    /// A view format whose pixels are not as large as those of the image.
    #[error("views of {format} cannot have format {view}: their planes differ")]
    ViewFormat {
        /// The image's format.
        format: Fourcc,
        /// The view's.
        view: Fourcc,
    },
    /// `DRM_FORMAT_MOD_INVALID` was given.
    #[error(
        "the modifier of this {format} buffer is INVALID (implicit): only the driver that allocated it knows its layout, so it cannot be shared; allocate it with an explicit modifier"
    )]
    ImplicitModifier {
        /// The format.
        format: Fourcc,
    },
    /// Too few or too many planes.
    #[error(
        "{format} with modifier {modifier} has {expected} plane(s), at most 4 with those that a modifier adds, but {given} were given"
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
    /// A plane names a memory that does not exist.
    #[error("plane {plane} lies in memory {memory}, which was not given")]
    NoSuchMemory {
        /// The plane.
        plane: usize,
        /// The memory's index.
        memory: usize,
    },
    /// A dma-buf is not of the format and extent that its description gives.
    #[error("the description says {} of {}, the dma-buf is {} of {}", asked.0, asked.1, given.0, given.1)]
    DescMismatch {
        /// Format and extent of the description.
        asked: (Fourcc, Extent),
        /// Format and extent of the dma-buf.
        given: (Fourcc, Extent),
    },
    /// Rows would overlap.
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
        /// Where it ends, in bytes; `None` if that overflows.
        end: Option<u64>,
        /// The memory's size in bytes.
        memory_size: u64,
    },
}
