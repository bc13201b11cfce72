//! The usage of fences in a reservation.

use serde::Serialize;

use crate::access::Access;

/// The usage of a fence in a reservation; the kernel's `enum dma_resv_usage`. A query for one class also
/// returns the fences of all classes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FenceUsage {
    /// The buffer's content is being moved or cleared (`DMA_RESV_USAGE_KERNEL`). All uses wait.
    Move,
    /// A write (`DMA_RESV_USAGE_WRITE`).
    Write,
    /// A read (`DMA_RESV_USAGE_READ`).
    Read,
    /// Work that other uses need not wait for, but that must be over before the memory is freed
    /// (`DMA_RESV_USAGE_BOOKKEEP`).
    Bookkeep,
}

impl FenceUsage {
    /// The class whose fences a new access must wait for (`dma_resv_usage_rw`): a writer waits for
    /// readers and writers, a reader for writers.
    pub fn waited_by(access: Access) -> Self {
        match access {
            Access::Read => Self::Write,
            Access::Write => Self::Read,
        }
    }
}

impl From<Access> for FenceUsage {
    fn from(access: Access) -> Self {
        match access {
            Access::Read => Self::Read,
            Access::Write => Self::Write,
        }
    }
}
