//! The layout demands of all parties, combined.

use crate::memory::constraint::least_common_multiple;
use crate::negotiation::layout_demands::{LayoutControl, LayoutDemands, LayoutFigure};
use crate::negotiation::party::Party;

/// The layout demands of all parties of a negotiation, combined. Figures that the exporter decides
/// by itself ([`LayoutControl`]) are not included, because it cannot be asked for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CombinedDemands {
    /// Bytes of which every plane's stride must be a multiple.
    pub stride_alignment: u32,
    /// The largest stride, in bytes.
    pub maximum_stride: u32,
    /// Bytes of which every plane's offset must be a multiple.
    pub offset_alignment: u64,
    /// Rows of pixels that a linear layout must have room for; at least the height of the image.
    pub padded_height: u64,
    /// Bytes that must follow the last plane of each memory of a linear layout.
    pub tail_bytes: u64,
    /// Bytes of which the size of every memory must be a multiple.
    pub size_alignment: u64,
    /// The largest memory, in bytes.
    pub maximum_size: u64,
}

impl CombinedDemands {
    /// Combines the demands of all parties for an image of this height.
    ///
    /// # Errors
    /// The figure whose alignments have no common multiple that fits.
    pub(crate) fn of(parties: &[Party], height: u32) -> Result<Self, LayoutFigure> {
        let mut combined = Self {
            stride_alignment: 1,
            maximum_stride: u32::MAX,
            offset_alignment: 1,
            padded_height: height.into(),
            tail_bytes: 0,
            size_alignment: 1,
            maximum_size: u64::MAX,
        };
        for party in parties {
            let demands = demanded(party);
            let stride =
                least_common_multiple(combined.stride_alignment, demands.stride_alignment.max(1));
            combined.stride_alignment = stride.ok_or(LayoutFigure::StrideAlignment)?;
            combined.offset_alignment =
                common_multiple(combined.offset_alignment, demands.offset_alignment.max(1))
                    .ok_or(LayoutFigure::OffsetAlignment)?;
            combined.size_alignment =
                common_multiple(combined.size_alignment, demands.size_alignment.max(1))
                    .ok_or(LayoutFigure::SizeAlignment)?;
            combined.maximum_stride = combined.maximum_stride.min(demands.maximum_stride);
            combined.padded_height = combined.padded_height.max(demands.padded_height(height));
            combined.tail_bytes = combined.tail_bytes.max(demands.tail_bytes);
            combined.maximum_size = combined.maximum_size.min(demands.maximum_size);
        }
        Ok(combined)
    }
}

/// What a party demands of the layout: its limits always, other figures only if the party does not
/// decide them by itself.
pub(crate) fn demanded(party: &Party) -> LayoutDemands {
    let limits = LayoutDemands {
        maximum_stride: party.layout.maximum_stride,
        maximum_size: party.layout.maximum_size,
        ..LayoutDemands::default()
    };
    match party.control() {
        LayoutControl::Explicit => party.layout,
        LayoutControl::StrideAlignment => LayoutDemands {
            stride_alignment: party.layout.stride_alignment,
            ..limits
        },
        LayoutControl::Exporter => limits,
    }
}

/// The figures that `party` demands of a linear image of this height and that `exporter`, which
/// decides them, does not promise: each with the demanded and the promised value.
pub(crate) fn not_promised(
    exporter: &Party,
    party: &Party,
    height: u32,
) -> Vec<(LayoutFigure, u64, u64)> {
    let (promised, asked) = (&exporter.layout, &demanded(party));
    let mut figures = Vec::new();
    let mut check = |figure, is_kept: bool, asked, promised| {
        if !is_kept {
            figures.push((figure, asked, promised));
        }
    };
    if exporter.control() == LayoutControl::Exporter {
        let (own, others) = (
            promised.stride_alignment.max(1),
            asked.stride_alignment.max(1),
        );
        let is_kept = own.is_multiple_of(others);
        check(
            LayoutFigure::StrideAlignment,
            is_kept,
            others.into(),
            own.into(),
        );
    }
    if exporter.control() != LayoutControl::Explicit {
        let (own, others) = (
            promised.offset_alignment.max(1),
            asked.offset_alignment.max(1),
        );
        check(
            LayoutFigure::OffsetAlignment,
            own.is_multiple_of(others),
            others,
            own,
        );
        let (own, others) = (promised.padded_height(height), asked.padded_height(height));
        check(LayoutFigure::PaddedHeight, own >= others, others, own);
        let (own, others) = (promised.tail_bytes, asked.tail_bytes);
        check(LayoutFigure::TailBytes, own >= others, others, own);
        let (own, others) = (promised.size_alignment.max(1), asked.size_alignment.max(1));
        check(
            LayoutFigure::SizeAlignment,
            own.is_multiple_of(others),
            others,
            own,
        );
    }
    figures
}

/// The least common multiple; `None` if it overflows.
fn common_multiple(a: u64, b: u64) -> Option<u64> {
    let (mut divisor, mut rest) = (a, b);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (a / divisor).checked_mul(b)
}
