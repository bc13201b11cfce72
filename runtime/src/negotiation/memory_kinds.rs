//! Where memory is, and whether its pages lie together.

use std::fmt;

use smallvec::SmallVec;

use crate::memory::placement::{Placement, Placements};

/// One kind of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemoryKind {
    /// Where it is.
    pub placement: Placement,
    /// Whether its pages lie one behind the other in physical memory.
    pub contiguous: bool,
}

impl fmt::Display for MemoryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let contiguous = if self.contiguous { "contiguous " } else { "" };
        write!(f, "{contiguous}{}", self.placement)
    }
}

/// The kinds of memory that a party takes or makes. Made by the functions here and by setting
/// members.
///
/// A party that takes scattered pages takes contiguous ones too and says both ([`any`](Self::any)). A
/// display without an IOMMU takes only contiguous memory. An exporter says what it makes without being
/// asked for it: nothing in [`AccessConstraint`](crate::AccessConstraint) asks for contiguity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct MemoryKinds {
    /// The places in which memory may be of scattered pages.
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

    /// Scattered memory only: what an exporter such as udmabuf makes.
    pub const fn scattered(placements: Placements) -> Self {
        Self {
            scattered: placements,
            contiguous: Placements::empty(),
        }
    }

    /// Contiguous memory only: what a display without an IOMMU takes, and the dma-heap "reserved"
    /// makes.
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

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.placements().is_empty()
    }

    /// The places, whatever the pages.
    pub fn placements(self) -> Placements {
        self.scattered | self.contiguous
    }

    /// Whether the kind is among them.
    pub fn has(self, kind: MemoryKind) -> bool {
        let placements = if kind.contiguous {
            self.contiguous
        } else {
            self.scattered
        };
        placements.has(kind.placement)
    }

    /// All of them, by these places in turn; in one place, scattered memory comes first, because
    /// contiguous memory is scarce.
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
