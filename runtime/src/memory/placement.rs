//! Where memory is.

use std::fmt;

use bitflags::bitflags;
use serde::Serialize;

/// Where memory is, as its exporter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Placement {
    /// Memory of a device.
    Device,
    /// Memory of the host that is there for devices: a dma-heap's.
    Host,
    /// Memory of the host that belongs to a memfd (the kernel's shmem), made a dma-buf by udmabuf.
    Shmem,
    /// The buffer came from outside, and its place is not known.
    Unknown,
}

impl Placement {
    /// How many there are.
    pub(crate) const COUNT: usize = 4;

    /// A number below [`COUNT`](Self::COUNT), for tables.
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Device => 0,
            Self::Host => 1,
            Self::Shmem => 2,
            Self::Unknown => 3,
        }
    }

    /// Every placement that an exporter can name.
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
    /// Several placements.
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
    /// Whether `placement` is among them.
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
