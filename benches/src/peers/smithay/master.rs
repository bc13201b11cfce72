//! DRM master of the one open card.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use smithay::reexports::drm;

/// Becomes DRM master again when it is dropped. smithay gives it up with its last handle of a card,
/// which here is open once for everyone.
#[derive(Debug)]
pub(super) struct MasterAgain(pub(super) OwnedFd);

impl AsFd for MasterAgain {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl drm::Device for MasterAgain {}

impl Drop for MasterAgain {
    fn drop(&mut self) {
        // Whoever needs it then is told by the kernel that it is missing.
        let _ = drm::Device::acquire_master_lock(self);
    }
}
