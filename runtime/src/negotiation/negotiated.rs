//! The result of a negotiation.

use smallvec::SmallVec;

use crate::dmabuf::dmabuf_memory::DmaBufMemory;
use crate::image::buffer_desc::BufferDesc;
use crate::image::fourcc::Fourcc;
use crate::image::layout::Layout;
use crate::image::modifier::Modifier;
use crate::memory::backing::Allocation;
use crate::memory::constraint::AccessConstraint;
use crate::memory::placement::Placements;
use crate::negotiation::combined_demands::CombinedDemands;
use crate::negotiation::error::UnfitError;
use crate::negotiation::linear_layout::LinearLayout;
use crate::negotiation::memory_kinds::MemoryKind;

/// A modifier that all parties take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct NegotiatedModifier {
    /// The modifier.
    pub modifier: Modifier,
    /// How many memory planes the image has; `None` if no party stated it.
    pub memory_planes: Option<u8>,
}

/// What all parties take, best first: the result of [`Negotiation::solve`](crate::Negotiation::solve).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    pub(crate) desc: BufferDesc,
    pub(crate) modifiers: Vec<NegotiatedModifier>,
    pub(crate) disjoint: bool,
    pub(crate) memory: SmallVec<[MemoryKind; 8]>,
    pub(crate) demands: CombinedDemands,
    pub(crate) linear: Option<LinearLayout>,
}

impl Negotiated {
    /// The description to make the buffer with: that of the negotiation, with the chosen format and the
    /// uses of all parties.
    pub fn desc(&self) -> &BufferDesc {
        &self.desc
    }

    /// The chosen format.
    pub fn format(&self) -> Fourcc {
        self.desc.format
    }

    /// The modifiers that all parties take, at least one, best first. The driver chooses among them
    /// when it makes the memory. None of them is [`Modifier::INVALID`].
    pub fn modifiers(&self) -> &[NegotiatedModifier] {
        &self.modifiers
    }

    /// The modifiers as plain values, for [`SharedBuffer::new`](crate::SharedBuffer::new).
    pub fn modifier_list(&self) -> Vec<Modifier> {
        let modifiers = self.modifiers.iter();
        modifiers.map(|candidate| candidate.modifier).collect()
    }

    /// Whether each plane must lie in a memory of its own. Otherwise all must lie in one.
    pub fn is_disjoint(&self) -> bool {
        self.disjoint
    }

    /// The kinds of memory that all parties take, at least one, best first.
    pub fn memory(&self) -> &[MemoryKind] {
        &self.memory
    }

    /// The places that all parties take.
    pub fn placements(&self) -> Placements {
        let kinds = self.memory.iter();
        kinds.fold(Placements::empty(), |all, kind| {
            all | Placements::from(kind.placement)
        })
    }

    /// The combined demands on strides, offsets and padding.
    pub fn demands(&self) -> &CombinedDemands {
        &self.demands
    }

    /// The planes of a linear image; `None` if [`Modifier::LINEAR`] was not negotiated, or the
    /// exporter lays images out by itself.
    pub fn linear_layout(&self) -> Option<&LinearLayout> {
        self.linear.as_ref()
    }

    /// The constraint for [`SharedBuffer::new_dynamic`](crate::SharedBuffer::new_dynamic), and for
    /// moves: all places, modifiers and the stride alignment. It cannot express offsets, padding and
    /// contiguity. [`check`](Self::check) checks offsets and padding of the memory; user space cannot
    /// see contiguity.
    pub fn constraint(&self) -> AccessConstraint {
        AccessConstraint {
            placements: self.placements(),
            modifiers: Some(self.modifier_list()),
            stride_alignment: self.demands.stride_alignment,
            ..AccessConstraint::default()
        }
    }

    /// The same constraint with only the best place. With [`constraint`](Self::constraint), the
    /// exporter chooses among all places.
    pub fn best_constraint(&self) -> AccessConstraint {
        AccessConstraint {
            placements: self.memory[0].placement.into(),
            ..self.constraint()
        }
    }

    /// Checks that memory that an exporter made is what was negotiated. User space cannot see
    /// contiguity; for that, this relies on what the exporter stated.
    ///
    /// # Errors
    /// Those of [`check_layout`](Self::check_layout), and
    /// - [`UnfitError::Image`]: the format or the extent is not the negotiated one.
    /// - [`UnfitError::Placement`]: the memory is in a place that not all parties take.
    pub fn check(&self, allocation: &Allocation) -> Result<(), UnfitError> {
        let dmabuf = &allocation.dmabuf;
        if (dmabuf.format(), dmabuf.extent()) != (self.desc.format, self.desc.extent) {
            return Err(UnfitError::Image {
                negotiated: (self.desc.format, self.desc.extent),
                given: (dmabuf.format(), dmabuf.extent()),
            });
        }
        if !self.placements().has(allocation.placement) {
            return Err(UnfitError::Placement {
                negotiated: self.placements(),
                given: allocation.placement,
            });
        }
        let sizes = dmabuf.memories().iter().map(DmaBufMemory::size);
        let sizes: SmallVec<[u64; 4]> = sizes.collect();
        self.check_layout(dmabuf.layout(), &sizes)
    }

    /// Checks a layout of the negotiated format and extent in memories of these sizes, in bytes.
    ///
    /// # Errors
    /// - [`UnfitError::Modifier`], [`UnfitError::MemoryPlanes`], [`UnfitError::Disjoint`]: not all
    ///   parties take the modifier, the number of planes, or their distribution over memories.
    /// - [`UnfitError::Stride`], [`UnfitError::Offset`], [`UnfitError::Size`]: a figure is misaligned
    ///   or too large.
    /// - [`UnfitError::Padding`]: too little room behind a plane of a linear layout.
    pub fn check_layout(&self, layout: &Layout, memory_sizes: &[u64]) -> Result<(), UnfitError> {
        let modifier = layout.modifier();
        let known = self
            .modifiers
            .iter()
            .find(|candidate| candidate.modifier == modifier)
            .ok_or_else(|| UnfitError::Modifier {
                negotiated: self.modifier_list(),
                given: modifier,
            })?;
        let planes = layout.planes();
        if let Some(count) = known.memory_planes
            && usize::from(count) != planes.len()
        {
            return Err(UnfitError::MemoryPlanes {
                modifier,
                negotiated: count,
                given: planes.len(),
            });
        }
        let mut memories: SmallVec<[usize; 4]> = planes.iter().map(|plane| plane.memory).collect();
        memories.sort_unstable();
        memories.dedup();
        if memories.len() != if self.disjoint { planes.len() } else { 1 } {
            return Err(UnfitError::Disjoint {
                negotiated: self.disjoint,
            });
        }
        let demands = &self.demands;
        for (index, plane) in planes.iter().enumerate() {
            if !plane.stride.is_multiple_of(demands.stride_alignment)
                || plane.stride > demands.maximum_stride
            {
                return Err(UnfitError::Stride {
                    plane: index,
                    stride: plane.stride,
                    alignment: demands.stride_alignment,
                    maximum: demands.maximum_stride,
                });
            }
            if !plane.offset.is_multiple_of(demands.offset_alignment) {
                return Err(UnfitError::Offset {
                    plane: index,
                    offset: plane.offset,
                    alignment: demands.offset_alignment,
                });
            }
        }
        for &size in memory_sizes {
            if !size.is_multiple_of(demands.size_alignment) || size > demands.maximum_size {
                return Err(UnfitError::Size {
                    size,
                    alignment: demands.size_alignment,
                    maximum: demands.maximum_size,
                });
            }
        }
        if modifier.is_linear() {
            self.check_padding(layout, memory_sizes)?;
        }
        Ok(())
    }

    /// Checks that the padded rows of each plane end before the next plane of its memory begins, and
    /// that the tail bytes fit behind the last one.
    fn check_padding(&self, layout: &Layout, memory_sizes: &[u64]) -> Result<(), UnfitError> {
        let infos = self.desc.format.info().map_or(&[][..], |info| info.planes);
        for (index, (plane, info)) in layout.planes().iter().zip(infos).enumerate() {
            let rows = self
                .demands
                .padded_height
                .div_ceil(info.vertical_subsampling.into());
            let bytes = rows.checked_mul(plane.stride.into());
            let end = bytes.and_then(|bytes| bytes.checked_add(plane.offset));
            let next = layout
                .planes()
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != index)
                .map(|(_, other)| other)
                .filter(|other| other.memory == plane.memory && other.offset >= plane.offset)
                .map(|other| other.offset)
                .min();
            let (needed, room) = match next {
                Some(next) => (end, next),
                None => (
                    end.and_then(|end| end.checked_add(self.demands.tail_bytes)),
                    memory_sizes.get(plane.memory).copied().unwrap_or(0),
                ),
            };
            if needed.is_none_or(|needed| needed > room) {
                return Err(UnfitError::Padding {
                    plane: index,
                    needed,
                    room,
                });
            }
        }
        Ok(())
    }
}
