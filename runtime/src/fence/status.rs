//! What has become of a fence.

use nix::errno::Errno;

/// Whether the work behind a fence is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FenceStatus {
    /// Not yet.
    Pending,
    /// Done.
    Signalled,
    /// Over, with an error: what it should have written is not there.
    Failed(Errno),
}

impl FenceStatus {
    /// Whether there is nothing left to wait for.
    pub fn is_over(self) -> bool {
        self != Self::Pending
    }
}
