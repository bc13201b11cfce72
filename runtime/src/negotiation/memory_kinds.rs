//! Where memory is, and whether it is physically contiguous.

use std::fmt;

use smallvec::SmallVec;

use crate::memory::placement::{Placement, Placements};

/// One kind of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemoryKind {
    /// Where the memory is.
    pub placement: Placement,
    /// Whether its pages are physically contiguous.
    pub contiguous: bool,
}

impl fmt::Display for MemoryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let contiguous = if self.contiguous { "contiguous " } else { "" };
        write!(f, "{contiguous}{}", self.placement)
    }
}

/// The kinds of memory that a party takes or makes. Make it with the functions below, or set members.
///
/// A party that takes scattered pages takes contiguous ones too and states both ([`any`](Self::any)). A
/// display without an IOMMU takes only contiguous memory. An exporter states what it always makes,
/// because an [`AccessConstraint`](crate::AccessConstraint) cannot ask for contiguity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct MemoryKinds {
    /// The places in which memory may have scattered pages.
    pub scattered: Placements,
    /// The places in which memory may be contiguous.
    pub contiguous: Placements,
}

impl MemoryKinds {
    /// Scattered and contiguous memory in these places.
    pub const fn any(placements: Placements) -> Self {
        Self {
            scattered: placements,
            contiguous: placements,
        }
    }

    /// Scattered memory only, as udmabuf makes it.
    pub const fn scattered(placements: Placements) -> Self {
        Self {
            scattered: placements,
            contiguous: Placements::empty(),
        }
    }

    /// Contiguous memory only, as a display without an IOMMU takes it and the dma-heap "reserved" makes
    /// it.
    pub const fn contiguous(placements: Placements) -> Self {
        Self {
            scattered: Placements::empty(),
            contiguous: placements,
        }
    }

    /// The kinds that are in both.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        Self {
            scattered: self.scattered & other.scattered,
            contiguous: self.contiguous & other.contiguous,
        }
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.placements().is_empty()
    }

    /// The places of both scattered and contiguous memory.
    pub fn placements(self) -> Placements {
        self.scattered | self.contiguous
    }

    /// Whether the set contains a kind.
    pub fn has(self, kind: MemoryKind) -> bool {
        let placements = if kind.contiguous {
            self.contiguous
        } else {
            self.scattered
        };
        placements.has(kind.placement)
    }

    /// All kinds, ordered by place. In one place, scattered memory comes first, because contiguous
    /// memory is scarce.
    pub(crate) fn in_order(self, order: &[Placement]) -> SmallVec<[MemoryKind; 8]> {
        let kinds = order.iter().flat_map(|&placement| {
            [false, true].map(|contiguous| MemoryKind {
                placement,
                contiguous,
            })
        });
        kinds.filter(|kind| self.has(*kind)).collect()
    }
}

impl Default for MemoryKinds {
    /// All kinds.
    fn default() -> Self {
        Self::any(Placements::all())
    }
}

impl fmt::Display for MemoryKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let either = self.scattered & self.contiguous;
        let mut separator = "";
        for (words, placements) in [
            ("", either),
            ("scattered pages of ", self.scattered - either),
            ("contiguous ", self.contiguous - either),
        ] {
            if !placements.is_empty() {
                write!(f, "{separator}{words}{placements}")?;
                separator = ", or ";
            }
        }
        if separator.is_empty() {
            f.write_str("no memory")?;
        }
        Ok(())
    }
}
