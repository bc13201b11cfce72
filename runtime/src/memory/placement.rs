//! Placements: where memory is.

use std::fmt;

use bitflags::bitflags;
use serde::Serialize;

/// Where memory is, as stated by its exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Placement {
    /// Device memory.
    Device,
    /// Host memory that is meant for devices, such as that of a dma-heap.
    Host,
    /// Host memory of a memfd (the kernel's shmem), which udmabuf has made a dma-buf.
    Shmem,
    /// The buffer was allocated outside this library, and its placement is not known.
    Unknown,
}

impl Placement {
    /// Number of placements.
    pub(crate) const COUNT: usize = 4;

    /// Index into tables of [`COUNT`](Self::COUNT) entries.
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Device => 0,
            Self::Host => 1,
            Self::Shmem => 2,
            Self::Unknown => 3,
        }
    }

    /// Every placement in which an exporter can allocate.
    pub(crate) const ALL: [Self; 3] = [Self::Device, Self::Host, Self::Shmem];
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Device => "device memory",
            Self::Host => "host memory",
            Self::Shmem => "shared memory (memfd)",
            Self::Unknown => "an unknown place",
        })
    }
}

bitflags! {
    /// A set of placements.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Placements: u8 {
        /// [`Placement::Device`].
        const DEVICE = 1 << 0;
        /// [`Placement::Host`].
        const HOST = 1 << 1;
        /// [`Placement::Shmem`].
        const SHMEM = 1 << 2;
        /// [`Placement::Unknown`].
        const UNKNOWN = 1 << 3;
    }
}

impl Placements {
    /// Whether the set contains `placement`.
    pub fn has(self, placement: Placement) -> bool {
        self.contains(placement.into())
    }
}

impl From<Placement> for Placements {
    fn from(placement: Placement) -> Self {
        match placement {
            Placement::Device => Self::DEVICE,
            Placement::Host => Self::HOST,
            Placement::Shmem => Self::SHMEM,
            Placement::Unknown => Self::UNKNOWN,
        }
    }
}

impl fmt::Display for Placements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for placement in Placement::ALL.into_iter().chain([Placement::Unknown]) {
            if self.has(placement) {
                write!(f, "{separator}{placement}")?;
                separator = " or ";
            }
        }
        if separator.is_empty() {
            f.write_str("no place")?;
        }
        Ok(())
    }
}
