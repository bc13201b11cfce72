//! The layout demands of one party.

use std::fmt;

/// What a party demands of the layout of an image in memory. Start from
/// [`LayoutDemands::default`], which demands nothing, and set members.
///
/// Alignments of 0 count as 1. Demands on strides, offsets and memory sizes apply to every layout;
/// `height_alignment` and `tail_bytes` apply only to [`Modifier::LINEAR`](crate::Modifier::LINEAR),
/// because a modifier itself defines what follows the rows of a tiled image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct LayoutDemands {
    /// Bytes of which every plane's stride must be a multiple.
    pub stride_alignment: u32,
    /// The largest stride, in bytes (a display's pitch limit).
    pub maximum_stride: u32,
    /// Bytes of which every plane's offset must be a multiple.
    pub offset_alignment: u64,
    /// Rows of pixels. The planes must have room for the height rounded up to a multiple of this,
    /// because an encoder's macroblocks or a software renderer's pixel blocks reach past the last row.
    pub height_alignment: u32,
    /// Bytes that must follow the last plane of a memory, for devices that prefetch.
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
    /// Rows of pixels for which an image of this height must have room.
    pub(crate) fn padded_height(&self, height: u32) -> u64 {
        // At most the sum of two 32-bit numbers, so it does not overflow.
        u64::from(height).next_multiple_of(self.height_alignment.max(1).into())
    }
}

impl fmt::Display for LayoutDemands {
    /// Lists the demands, separated by commas; empty if there are none.
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
            format_args!("strides in multiples of {stride} bytes"),
        )?;
        say(
            longest < u32::MAX,
            format_args!("strides of at most {longest} bytes"),
        )?;
        say(
            offset > 1,
            format_args!("offsets in multiples of {offset} bytes"),
        )?;
        say(
            height > 1,
            format_args!("room for a height that is a multiple of {height}"),
        )?;
        say(
            self.tail_bytes > 0,
            format_args!("{} bytes behind the last plane", self.tail_bytes),
        )?;
        say(size > 1, format_args!("sizes in multiples of {size} bytes"))?;
        say(
            largest < u64::MAX,
            format_args!("memories of at most {largest} bytes"),
        )
    }
}

/// How much of the layout of its images an exporter leaves to the negotiation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LayoutControl {
    /// All of it: the exporter uses the planes of
    /// [`Negotiated::linear_layout`](crate::negotiation::Negotiated::linear_layout) unchanged
    /// (`VkImageDrmFormatModifierExplicitCreateInfoEXT`, plain memory). Its demands count like those
    /// of an importer.
    #[default]
    Explicit,
    /// Strides only: the exporter honors
    /// [`AccessConstraint::stride_alignment`](crate::AccessConstraint::stride_alignment) besides its
    /// own. It decides offsets and padding itself; its demands on them are what it promises to make.
    StrideAlignment,
    /// Nothing (`VkImageDrmFormatModifierListCreateInfoEXT`, `DRM_IOCTL_MODE_CREATE_DUMB`). The
    /// exporter's demands are what it promises to make.
    Exporter,
}

/// A figure of [`LayoutDemands`], as refusals name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LayoutFigure {
    /// Alignment of strides, in bytes.
    StrideAlignment,
    /// Alignment of offsets, in bytes.
    OffsetAlignment,
    /// Rows of pixels for which there is room.
    PaddedHeight,
    /// Bytes behind the last plane of a memory.
    TailBytes,
    /// Alignment of memory sizes, in bytes.
    SizeAlignment,
}

impl LayoutFigure {
    /// The figure and its value as text, for refusals.
    pub(crate) fn with(self, value: u64) -> String {
        match self {
            Self::StrideAlignment => format!("strides in multiples of {value} bytes"),
            Self::OffsetAlignment => format!("offsets in multiples of {value} bytes"),
            Self::PaddedHeight => format!("room for {value} rows"),
            Self::TailBytes => format!("{value} bytes behind the last plane"),
            Self::SizeAlignment => format!("sizes in multiples of {value} bytes"),
        }
    }
}
