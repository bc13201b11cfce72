//! Where the planes of an image lie in its memory.

use smallvec::SmallVec;

use crate::image::extent::Extent;
use crate::image::fourcc::Fourcc;
use crate::image::layout_error::LayoutError;
use crate::image::modifier::Modifier;

/// The most planes that a dma-buf image can have (`DRM_FORMAT_MAX_PLANES`).
pub(crate) const MAX_PLANES: usize = 4;

/// One plane: which memory it lies in, where it begins and how far its rows are apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlaneLayout {
    /// Index of the memory (dma-buf) that holds the plane; 0 unless planes are disjoint.
    pub memory: usize,
    /// Bytes from the start of that memory.
    pub offset: u64,
    /// Bytes between rows. What a "row" is for a modifier other than LINEAR, the modifier defines.
    pub stride: u32,
}

/// Modifier and planes of an image.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    modifier: Modifier,
    /// Most formats have one plane, and programs have many buffers.
    planes: SmallVec<[PlaneLayout; 1]>,
}

impl Layout {
    /// Checks a layout against the format, the extent and the sizes of the memories, in bytes.
    ///
    /// For [`Modifier::LINEAR`] every plane's rows must be at least as long as a row of pixels and
    /// its last byte must lie inside its memory. For other modifiers only the vendor knows what
    /// lies where; each plane must at least begin inside its memory, and the importing driver
    /// checks the rest. Drivers check almost none of this for LINEAR: one of them reads overlapping
    /// rows without a word.
    ///
    /// # Errors
    /// - [`LayoutError::EmptyExtent`]: width or height is 0.
    /// - [`LayoutError::ImplicitModifier`]: the modifier is [`Modifier::INVALID`].
    /// - [`LayoutError::UnknownFormat`]: the format is not in the table of [`Fourcc::info`].
    /// - [`LayoutError::PlaneCount`]: no plane, more than four, or not as many as the format has.
    /// - [`LayoutError::NoSuchMemory`]: a plane names a memory that is not there.
    /// - [`LayoutError::StrideTooSmall`]: rows overlap.
    /// - [`LayoutError::PlanePastEnd`]: a plane ends (or begins) past its memory's end.
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
        // A modifier may add planes (compression metadata), never drop one.
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

    /// How pixels are arranged.
    pub fn modifier(&self) -> Modifier {
        self.modifier
    }

    /// The planes, one to four.
    pub fn planes(&self) -> &[PlaneLayout] {
        &self.planes
    }

    /// Whether the planes lie in more than one memory.
    pub fn is_disjoint(&self) -> bool {
        self.planes
            .iter()
            .any(|plane| plane.memory != self.planes[0].memory)
    }
}
