//! The offsets and strides of a linear image's planes.

use smallvec::SmallVec;

use crate::image::extent::Extent;
use crate::image::format_info::FormatInfo;
use crate::image::layout::{MAX_PLANES, PlaneLayout};
use crate::negotiation::combined_demands::CombinedDemands;

/// A linear layout that meets the demands of all parties. The planes follow each other, each with the
/// smallest allowed stride, offset and size. It is for allocators of plain memory, with
/// [`DmaBuf::from_memories`](crate::DmaBuf::from_memories).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinearLayout {
    planes: SmallVec<[PlaneLayout; MAX_PLANES]>,
    memory_sizes: SmallVec<[u64; MAX_PLANES]>,
}

/// Why there is no linear layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinearProblem {
    /// A stride of this many bytes would be needed.
    Stride(u64),
    /// A memory of this many bytes would be needed; `None` if the number overflows.
    Size(Option<u64>),
}

impl LinearLayout {
    pub(crate) fn new(
        info: &FormatInfo,
        extent: Extent,
        demands: &CombinedDemands,
        disjoint: bool,
    ) -> Result<Self, LinearProblem> {
        let mut planes = SmallVec::new();
        let mut ends = SmallVec::<[u64; MAX_PLANES]>::new();
        for plane in info.planes {
            let row = plane.row_bytes(extent.width);
            // Both numbers are far below 2^63, so the sum does not overflow.
            let needed = row.next_multiple_of(demands.stride_alignment.into());
            let stride = u32::try_from(needed)
                .ok()
                .filter(|stride| *stride <= demands.maximum_stride)
                .ok_or(LinearProblem::Stride(needed))?;
            let previous = if disjoint { None } else { ends.pop() };
            let offset = previous
                .unwrap_or(0)
                .checked_next_multiple_of(demands.offset_alignment);
            let rows = demands
                .padded_height
                .div_ceil(plane.vertical_subsampling.into());
            let bytes = rows.checked_mul(stride.into());
            let (Some(offset), Some(bytes)) = (offset, bytes) else {
                return Err(LinearProblem::Size(None));
            };
            let end = offset.checked_add(bytes).ok_or(LinearProblem::Size(None))?;
            planes.push(PlaneLayout {
                memory: ends.len(),
                offset,
                stride,
            });
            ends.push(end);
        }
        let mut memory_sizes = SmallVec::new();
        for end in ends {
            let size = end
                .checked_add(demands.tail_bytes)
                .and_then(|bytes| bytes.checked_next_multiple_of(demands.size_alignment));
            let is_allowed = size.filter(|size| *size <= demands.maximum_size);
            memory_sizes.push(is_allowed.ok_or(LinearProblem::Size(size))?);
        }
        Ok(Self {
            planes,
            memory_sizes,
        })
    }

    /// The planes, in the format's order.
    pub fn planes(&self) -> &[PlaneLayout] {
        &self.planes
    }

    /// The smallest size of each memory, in bytes: one entry, or one for each plane if the planes are
    /// disjoint.
    pub fn memory_sizes(&self) -> &[u64] {
        &self.memory_sizes
    }
}
