//! Why parties do not come to terms, and why memory is not what they agreed upon.

use crate::image::buffer_desc::Usage;
use crate::image::extent::Extent;
use crate::image::fourcc::Fourcc;
use crate::image::layout_error::LayoutError;
use crate::image::modifier::Modifier;
use crate::memory::placement::{Placement, Placements};
use crate::negotiation::refusal::Refusal;

/// Why a negotiation has no outcome.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NegotiationError {
    /// The description is wrong in itself.
    #[error(transparent)]
    Description(#[from] LayoutError),
    /// Not just one party makes the memory.
    #[error(
        "a negotiation has one exporter, this one has {}",
        if exporters.is_empty() { "none".to_owned() } else { exporters.join(", ") }
    )]
    Exporters {
        /// The parties that make memory.
        exporters: Vec<String>,
    },
    /// Two parties have the same name: a refusal could not tell them apart.
    #[error("two parties are called '{name}'")]
    SameName {
        /// The name.
        name: String,
    },
    /// The description declares uses that no party has, so no party was asked about them. Those of the
    /// CPU need no party.
    #[error("no party was asked about {usage}, which the description of '{buffer}' declares")]
    NobodysUsage {
        /// The buffer.
        buffer: String,
        /// The uses.
        usage: Usage,
    },
    /// Nothing suits everyone.
    #[error(transparent)]
    Refused(Box<Refusal>),
}

/// Why memory is not what was negotiated.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnfitError {
    /// Another image than was negotiated.
    #[error("{} of {} was negotiated, the dma-buf is {} of {}", negotiated.0, negotiated.1, given.0, given.1)]
    Image {
        /// Format and extent that everyone takes.
        negotiated: (Fourcc, Extent),
        /// Format and extent of the dma-buf.
        given: (Fourcc, Extent),
    },
    /// Out of reach for someone.
    #[error("the memory must be in {negotiated}, and is in {given}")]
    Placement {
        /// The places that everyone takes.
        negotiated: Placements,
        /// Where it is.
        given: Placement,
    },
    /// An arrangement that someone does not take.
    #[error("the modifier must be one of {negotiated:?}, and is {given}")]
    Modifier {
        /// The modifiers that everyone takes.
        negotiated: Vec<Modifier>,
        /// The layout's.
        given: Modifier,
    },
    /// Another number of planes than everyone counts with.
    #[error("with modifier {modifier} there must be {negotiated} plane(s), and there are {given}")]
    MemoryPlanes {
        /// The modifier.
        modifier: Modifier,
        /// Planes in memory, as the parties say.
        negotiated: u8,
        /// Planes of the layout.
        given: usize,
    },
    /// Planes in several memories, or not.
    #[error("the planes must lie in {}", if *negotiated { "a memory each" } else { "one memory" })]
    Disjoint {
        /// Whether each plane must lie in a memory of its own.
        negotiated: bool,
    },
    /// A stride that someone does not take.
    #[error(
        "plane {plane}: the stride must be a multiple of {alignment} bytes and at most {maximum}, and is {stride}"
    )]
    Stride {
        /// The plane.
        plane: usize,
        /// Its stride in bytes.
        stride: u32,
        /// Bytes of which it must be a multiple.
        alignment: u32,
        /// The largest, in bytes.
        maximum: u32,
    },
    /// An offset that someone does not take.
    #[error("plane {plane}: the offset must be a multiple of {alignment} bytes, and is {offset}")]
    Offset {
        /// The plane.
        plane: usize,
        /// Its offset in bytes.
        offset: u64,
        /// Bytes of which it must be a multiple.
        alignment: u64,
    },
    /// A memory whose size someone does not take.
    #[error(
        "a memory's size must be a multiple of {alignment} bytes and at most {maximum}, and is {size}"
    )]
    Size {
        /// Its size in bytes.
        size: u64,
        /// Bytes of which it must be a multiple.
        alignment: u64,
        /// The largest, in bytes.
        maximum: u64,
    },
    /// Too little room below a plane.
    #[error("plane {plane}: with its padding it ends {}, but has room until byte {room}", match needed { Some(end) => format!("at byte {end}"), None => "past the last address".to_owned() })]
    Padding {
        /// The plane.
        plane: usize,
        /// Where it would end, in bytes; `None` if that overflows.
        needed: Option<u64>,
        /// Where the next plane or the memory's end is, in bytes.
        room: u64,
    },
}
