//! How an image must lie in memory, as one party demands it.

use std::fmt;

/// What a party demands of the way in which an image lies in memory. Made by
/// [`LayoutDemands::default`], which demands nothing, and by setting members.
///
/// Alignments of 0 count as 1. Strides, offsets and the size of the memory are demanded of every
/// layout; `height_alignment` and `tail_bytes` only of [`Modifier::LINEAR`](crate::Modifier::LINEAR),
/// because a modifier defines by itself what lies behind a tiled image's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct LayoutDemands {
    /// Bytes of which every plane's stride must be a multiple.
    pub stride_alignment: u32,
    /// The largest stride, in bytes (a display's pitch limit).
    pub maximum_stride: u32,
    /// Bytes of which every plane's offset must be a multiple.
    pub offset_alignment: u64,
    /// Rows of pixels: the planes must have room as if the height were a multiple of this. A video
    /// encoder's macroblocks, a software renderer's blocks of pixels reach past the last row.
    pub height_alignment: u32,
    /// Bytes that must follow the last plane of a memory: what is fetched ahead.
    pub tail_bytes: u64,
    /// Bytes of which the size of a memory must be a multiple.
    pub size_alignment: u64,
    /// The largest memory, in bytes (`VkImageFormatProperties.maxResourceSize`, udmabuf's
    /// `size_limit_mb`).
    pub maximum_size: u64,
}

impl Default for LayoutDemands {
    fn default() -> Self {
        Self {
            stride_alignment: 1,
            maximum_stride: u32::MAX,
            offset_alignment: 1,
            height_alignment: 1,
            tail_bytes: 0,
            size_alignment: 1,
            maximum_size: u64::MAX,
        }
    }
}

impl LayoutDemands {
    /// Rows of pixels that there must be room for in an image of this height.
    pub(crate) fn padded_height(&self, height: u32) -> u64 {
        // The sum of two 32-bit numbers at most.
        u64::from(height).next_multiple_of(self.height_alignment.max(1).into())
    }
}

impl fmt::Display for LayoutDemands {
    /// What is demanded, separated by commas; nothing if nothing is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut say = |is_demanded: bool, text: fmt::Arguments<'_>| {
            if is_demanded {
                write!(f, "{separator}{text}")?;
                separator = ", ";
            }
            Ok(())
        };
        let (stride, height) = (self.stride_alignment, self.height_alignment);
        let (offset, size) = (self.offset_alignment, self.size_alignment);
        let (longest, largest) = (self.maximum_stride, self.maximum_size);
        say(
            stride > 1,
            format_args!("strides multiples of {stride} bytes"),
        )?;
        say(
            longest < u32::MAX,
            format_args!("strides of at most {longest} bytes"),
        )?;
        say(
            offset > 1,
            format_args!("offsets multiples of {offset} bytes"),
        )?;
        say(
            height > 1,
            format_args!("room for a height that is a multiple of {height}"),
        )?;
        say(
            self.tail_bytes > 0,
            format_args!("{} bytes behind the last plane", self.tail_bytes),
        )?;
        say(size > 1, format_args!("sizes multiples of {size} bytes"))?;
        say(
            largest < u64::MAX,
            format_args!("memories of at most {largest} bytes"),
        )
    }
}

/// How much of a layout an exporter leaves to the negotiation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LayoutControl {
    /// All of it: the exporter makes the planes of
    /// [`Negotiated::linear_layout`](crate::negotiation::Negotiated::linear_layout) as they are
    /// (`VkImageDrmFormatModifierExplicitCreateInfoEXT`, plain memory). Its demands are demands like
    /// everyone's.
    #[default]
    Explicit,
    /// Strides only: the exporter heeds
    /// [`AccessConstraint::stride_alignment`](crate::AccessConstraint::stride_alignment) besides its
    /// own. Offsets and padding are its own; what it demands of them is what it promises to make.
    StrideAlignment,
    /// Nothing (`VkImageDrmFormatModifierListCreateInfoEXT`, `DRM_IOCTL_MODE_CREATE_DUMB`). What it
    /// demands is what it promises to make.
    Exporter,
}

/// A figure of [`LayoutDemands`], in refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LayoutFigure {
    /// Bytes of which strides are multiples.
    StrideAlignment,
    /// Bytes of which offsets are multiples.
    OffsetAlignment,
    /// Rows of pixels that there is room for.
    PaddedHeight,
    /// Bytes behind the last plane.
    TailBytes,
    /// Bytes of which sizes are multiples.
    SizeAlignment,
}

impl LayoutFigure {
    /// The figure with its value, in words.
    pub(crate) fn with(self, value: u64) -> String {
        match self {
            Self::StrideAlignment => format!("strides multiples of {value} bytes"),
            Self::OffsetAlignment => format!("offsets multiples of {value} bytes"),
            Self::PaddedHeight => format!("room for {value} rows"),
            Self::TailBytes => format!("{value} bytes behind the last plane"),
            Self::SizeAlignment => format!("sizes multiples of {value} bytes"),
        }
    }
}
