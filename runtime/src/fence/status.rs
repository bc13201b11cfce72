//! The status of a fence.

use nix::errno::Errno;

/// The status of a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FenceStatus {
    /// The work is not done.
    Pending,
    /// The work is done.
    Signalled,
    /// The work ended in an error, without its result.
    Failed(Errno),
}

impl FenceStatus {
    /// Whether the fence has signalled or failed, so that there is nothing left to wait for.
    pub fn is_over(self) -> bool {
        self != Self::Pending
    }
}
