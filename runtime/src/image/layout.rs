//! The layout of an image's planes in memory.

use smallvec::SmallVec;

use crate::image::extent::Extent;
use crate::image::fourcc::Fourcc;
use crate::image::layout_error::LayoutError;
use crate::image::modifier::Modifier;

/// Maximum number of planes of a dma-buf image (`DRM_FORMAT_MAX_PLANES`).
pub(crate) const MAX_PLANES: usize = 4;

/// One plane: the memory that contains it, its offset and its stride.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlaneLayout {
    /// Index of the memory (dma-buf) that contains the plane; 0 unless planes are disjoint.
    pub memory: usize,
    /// Bytes from the start of that memory.
    pub offset: u64,
    /// Bytes between the starts of rows. For modifiers other than LINEAR, the modifier defines what a row
    /// is.
    pub stride: u32,
}

/// Modifier and planes of an image.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    modifier: Modifier,
    /// One inline, because most formats have one plane and programs have many buffers.
    planes: SmallVec<[PlaneLayout; 1]>,
}

impl Layout {
    /// Checks a layout against the format, the extent and the sizes of the memories, in bytes.
    ///
    /// For [`Modifier::LINEAR`], each plane's stride must cover a row of pixels, and its last byte must be
    /// inside its memory. For other modifiers only the vendor knows the arrangement, so a plane only has
    /// to begin inside its memory, and the importing driver checks the rest. Drivers check almost none
    /// of this for LINEAR: one of them silently reads overlapping rows.
    ///
    /// # Errors
    /// - [`LayoutError::EmptyExtent`]: width or height is 0.
    /// - [`LayoutError::ImplicitModifier`]: the modifier is [`Modifier::INVALID`].
    /// - [`LayoutError::UnknownFormat`]: [`Fourcc::info`] does not know the format.
    /// - [`LayoutError::PlaneCount`]: no plane, more than four, or not the number that the format has.
    /// - [`LayoutError::NoSuchMemory`]: a plane refers to a memory that does not exist.
    /// - [`LayoutError::StrideTooSmall`]: rows overlap.
    /// - [`LayoutError::PlanePastEnd`]: a plane ends (or begins) past the end of its memory.
    pub fn new(
        format: Fourcc,
        extent: Extent,
        modifier: Modifier,
        planes: &[PlaneLayout],
        memory_sizes: &[u64],
    ) -> Result<Self, LayoutError> {
        if extent.width == 0 || extent.height == 0 {
            return Err(LayoutError::EmptyExtent { extent });
        }
        if modifier == Modifier::INVALID {
            return Err(LayoutError::ImplicitModifier { format });
        }
        let info = format.info().ok_or(LayoutError::UnknownFormat { format })?;
        // A modifier may add planes (compression metadata), but never removes one.
        let expected = info.planes.len();
        let allowed = if modifier.is_linear() {
            expected..=expected
        } else {
            expected..=MAX_PLANES
        };
        if !allowed.contains(&planes.len()) {
            return Err(LayoutError::PlaneCount {
                format,
                modifier,
                expected,
                given: planes.len(),
            });
        }
        for (index, plane) in planes.iter().enumerate() {
            let memory_size = *memory_sizes
                .get(plane.memory)
                .ok_or(LayoutError::NoSuchMemory {
                    plane: index,
                    memory: plane.memory,
                })?;
            let end = if modifier.is_linear() {
                let row = info.planes[index].row_bytes(extent.width);
                if u64::from(plane.stride) < row {
                    return Err(LayoutError::StrideTooSmall {
                        plane: index,
                        stride: plane.stride,
                        needed: row,
                    });
                }
                let rows = u64::from(info.planes[index].rows(extent.height));
                (rows - 1)
                    .checked_mul(u64::from(plane.stride))
                    .and_then(|bytes| bytes.checked_add(row))
                    .and_then(|bytes| bytes.checked_add(plane.offset))
            } else {
                plane.offset.checked_add(1)
            };
            if end.is_none_or(|end| end > memory_size) {
                return Err(LayoutError::PlanePastEnd {
                    plane: index,
                    end,
                    memory_size,
                });
            }
        }
        Ok(Self {
            modifier,
            planes: SmallVec::from_slice(planes),
        })
    }

    /// How the pixels are arranged in memory.
    pub fn modifier(&self) -> Modifier {
        self.modifier
    }

    /// The planes, one to four.
    pub fn planes(&self) -> &[PlaneLayout] {
        &self.planes
    }

    /// Whether the planes are in more than one memory.
    pub fn is_disjoint(&self) -> bool {
        self.planes
            .iter()
            .any(|plane| plane.memory != self.planes[0].memory)
    }
}
