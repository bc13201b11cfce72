//! Errors of negotiations, and of memory that is not what was negotiated.

use crate::image::buffer_desc::Usage;
use crate::image::extent::Extent;
use crate::image::fourcc::Fourcc;
use crate::image::layout_error::LayoutError;
use crate::image::modifier::Modifier;
use crate::memory::placement::{Placement, Placements};
use crate::negotiation::refusal::Refusal;

/// Error of [`Negotiation::solve`](crate::Negotiation::solve).
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NegotiationError {
    /// The description is invalid.
    #[error(transparent)]
    Description(#[from] LayoutError),
    /// There is no exporter, or more than one.
    #[error(
        "a negotiation has one exporter, this one has {}",
        if exporters.is_empty() { "none".to_owned() } else { exporters.join(", ") }
    )]
    Exporters {
        /// Names of the exporters.
        exporters: Vec<String>,
    },
    /// Two parties have the same name, so a refusal could not distinguish them.
    #[error("two parties are called '{name}'")]
    SameName {
        /// Name that both have.
        name: String,
    },
    /// The description declares uses that no party has. Uses by the CPU need no party.
    #[error("no party has the usage {usage}, which the description of '{buffer}' declares")]
    NobodysUsage {
        /// Name of the buffer.
        buffer: String,
        /// Uses that no party has.
        usage: Usage,
    },
    /// The parties have no format, layout and memory in common.
    #[error(transparent)]
    Refused(Box<Refusal>),
}

/// Error of [`Negotiated::check`](crate::negotiation::Negotiated::check): how memory differs from
/// what was negotiated.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnfitError {
    /// The format or the extent differs.
    #[error("{} of {} was negotiated, the dma-buf is {} of {}", negotiated.0, negotiated.1, given.0, given.1)]
    Image {
        /// Format and extent that were negotiated.
        negotiated: (Fourcc, Extent),
        /// Format and extent of the dma-buf.
        given: (Fourcc, Extent),
    },
    /// The memory is in a place that not all parties take.
    #[error("the memory must be in {negotiated}, and is in {given}")]
    Placement {
        /// The places that all parties take.
        negotiated: Placements,
        /// Where the memory is.
        given: Placement,
    },
    /// Not all parties take the modifier.
    #[error("the modifier must be one of {negotiated:?}, and is {given}")]
    Modifier {
        /// The modifiers that all parties take.
        negotiated: Vec<Modifier>,
        /// Modifier of the layout.
        given: Modifier,
    },
    /// The number of memory planes differs.
    #[error("a layout with modifier {modifier} must have {negotiated} plane(s), and has {given}")]
    MemoryPlanes {
        /// Modifier of the layout.
        modifier: Modifier,
        /// Number of memory planes that was negotiated.
        negotiated: u8,
        /// Number of planes of the layout.
        given: usize,
    },
    /// The planes lie in one memory where each needs its own, or the reverse.
    #[error("{}", if *negotiated { "each plane must lie in a memory of its own" } else { "all planes must lie in one memory" })]
    Disjoint {
        /// Whether each plane must lie in a memory of its own.
        negotiated: bool,
    },
    /// A stride is misaligned or too large.
    #[error(
        "plane {plane}: the stride must be a multiple of {alignment} bytes and at most {maximum}, and is {stride}"
    )]
    Stride {
        /// Index of the plane.
        plane: usize,
        /// Stride of the plane, in bytes.
        stride: u32,
        /// Required alignment, in bytes.
        alignment: u32,
        /// Largest allowed value, in bytes.
        maximum: u32,
    },
    /// An offset is misaligned.
    #[error("plane {plane}: the offset must be a multiple of {alignment} bytes, and is {offset}")]
    Offset {
        /// Index of the plane.
        plane: usize,
        /// Offset of the plane, in bytes.
        offset: u64,
        /// Required alignment, in bytes.
        alignment: u64,
    },
    /// The size of a memory is misaligned or too large.
    #[error(
        "a memory's size must be a multiple of {alignment} bytes and at most {maximum}, and is {size}"
    )]
    Size {
        /// Size of the memory, in bytes.
        size: u64,
        /// Required alignment, in bytes.
        alignment: u64,
        /// Largest allowed value, in bytes.
        maximum: u64,
    },
    /// There is too little room behind a plane.
    #[error("plane {plane}: with its padding it ends {}, but has room until byte {room}", match needed { Some(end) => format!("at byte {end}"), None => "past the last address".to_owned() })]
    Padding {
        /// Index of the plane.
        plane: usize,
        /// Byte at which the padded plane ends; `None` if that overflows.
        needed: Option<u64>,
        /// Byte at which the next plane begins or the memory ends.
        room: u64,
    },
}
