//! Linear layouts for host memory.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::dmabuf::DmaBuf;
use crate::dmabuf::dmabuf_memory::DmaBufMemory;
use crate::image::buffer_desc::BufferDesc;
use crate::image::extent::Extent;
use crate::image::layout::{MAX_PLANES, PlaneLayout};
use crate::image::layout_error::LayoutError;
use crate::image::modifier::Modifier;
use crate::memory::backing::Allocation;
use crate::memory::constraint::{AccessConstraint, least_common_multiple};
use crate::memory::export_error::ExportError;
use crate::memory::placement::Placement;
use crate::negotiation::layout_demands::LayoutDemands;

/// Strides are multiples of 256 bytes, which satisfies every GPU with a known requirement.
const STRIDE_ALIGNMENT: u32 = 256;
/// Planes start on a page, as decoders and displays with an MMU prefer.
const PLANE_ALIGNMENT: u64 = 4096;

/// Software renderers draw blocks of 4x4 pixels, also beyond the bottom edge.
const ROWS_ALIGNMENT: u32 = 4;

/// What all layouts made here satisfy, for a negotiation.
pub(super) fn promised() -> LayoutDemands {
    LayoutDemands {
        stride_alignment: STRIDE_ALIGNMENT,
        offset_alignment: PLANE_ALIGNMENT,
        // The number of rows in each plane is a multiple of this. With subsampled chroma that holds
        // for twice as many rows of pixels.
        height_alignment: ROWS_ALIGNMENT,
        size_alignment: PLANE_ALIGNMENT,
        ..LayoutDemands::default()
    }
}

/// A layout with planes one after the other, and its size.
pub(crate) struct LinearPlan {
    planes: SmallVec<[PlaneLayout; MAX_PLANES]>,
    size: u64,
}

impl LinearPlan {
    pub(crate) fn new(exporter: &str, desc: &BufferDesc) -> Result<Self, ExportError> {
        Self::fitting(exporter, desc, &AccessConstraint::default())
    }

    /// Like [`new`](Self::new), with strides that `wanted` accepts: multiples of its alignment, too, or
    /// its exact stride.
    pub(crate) fn fitting(
        exporter: &str,
        desc: &BufferDesc,
        wanted: &AccessConstraint,
    ) -> Result<Self, ExportError> {
        desc.validate()?;
        let alignment = least_common_multiple(STRIDE_ALIGNMENT, wanted.stride_alignment.max(1));
        let info = desc.format.info().ok_or(LayoutError::UnknownFormat {
            format: desc.format,
        })?;
        let mut planes = SmallVec::new();
        let mut size = 0_u64;
        for (index, plane) in info.planes.iter().enumerate() {
            let too_large = || ExportError::TooLarge {
                exporter: exporter.to_owned(),
                extent: desc.extent,
                maximum: Extent::new(u32::MAX / 8, u32::MAX / 8),
            };
            let row = plane.row_bytes(desc.extent.width);
            let stride = match wanted.stride {
                Some(exact) => u64::from(exact),
                None => alignment
                    .and_then(|alignment| row.checked_next_multiple_of(alignment.into()))
                    .ok_or_else(too_large)?,
            };
            let stride32 = u32::try_from(stride).map_err(|_| too_large())?;
            if stride < row {
                return Err(LayoutError::StrideTooSmall {
                    plane: index,
                    stride: stride32,
                    needed: row,
                }
                .into());
            }
            planes.push(PlaneLayout {
                memory: 0,
                offset: size,
                stride: stride32,
            });
            let rows =
                u64::from(plane.rows(desc.extent.height)).next_multiple_of(ROWS_ALIGNMENT.into());
            // The sum may overflow, so it is checked.
            size = stride
                .checked_mul(rows)
                .ok_or_else(too_large)?
                .checked_next_multiple_of(PLANE_ALIGNMENT)
                .and_then(|bytes| bytes.checked_add(size))
                .ok_or_else(too_large)?;
        }
        Ok(Self { planes, size })
    }

    /// Size of the memory in bytes, a multiple of the page size.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn allocation(
        &self,
        desc: &BufferDesc,
        memory: DmaBufMemory,
        placement: Placement,
    ) -> Result<Allocation, ExportError> {
        let dmabuf = DmaBuf::from_memories(
            desc.format,
            desc.extent,
            Modifier::LINEAR,
            &self.planes,
            [memory],
        )?;
        Ok(Allocation::new(dmabuf, placement, Arc::new(())))
    }
}

/// Refuses a list of modifiers without LINEAR.
pub(super) fn require_linear(
    exporter: &str,
    desc: &BufferDesc,
    modifiers: &[Modifier],
) -> Result<(), ExportError> {
    if modifiers.contains(&Modifier::LINEAR) {
        return Ok(());
    }
    Err(ExportError::UnsupportedModifier {
        exporter: exporter.to_owned(),
        format: desc.format,
        asked: modifiers.to_vec(),
        offered: vec![Modifier::LINEAR],
    })
}
