//! Restoration of a card's previous KMS state.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use drm_ffi::DRM_MODE_ATOMIC_ALLOW_MODESET;

use crate::device::DrmDevice;
use crate::kms::snapshot::Snapshot;
use crate::sys::atomic;
use crate::sys::atomic::FenceSlots;
use crate::sys::signal::SignalAction;

/// Restores the previous KMS state on drop, or earlier in a signal handler.
#[derive(Debug)]
pub(crate) struct Restore {
    device: Arc<DrmDevice>,
    snapshot: Snapshot,
    /// Number of changes that were announced with `taint`.
    changes: AtomicU64,
    /// Number of these changes that were undone.
    undone: AtomicU64,
}

impl Restore {
    pub(crate) fn new(device: Arc<DrmDevice>, snapshot: Snapshot) -> Self {
        Self {
            device,
            snapshot,
            changes: AtomicU64::new(0),
            undone: AtomicU64::new(0),
        }
    }

    /// Announces a change of the KMS state.
    pub(crate) fn taint(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Restores the previous picture, or switches everything off if its framebuffers were destroyed
    /// with their owner. Blocks until the commit is on the screen, for a frame or two. Allocates
    /// nothing.
    ///
    /// A call during another call (from a second signal) repeats the restoration, because the process
    /// may exit after it and thereby interrupt the first call.
    pub(crate) fn run(&self) {
        let changes = self.changes.load(Ordering::Acquire);
        if changes <= self.undone.load(Ordering::Acquire) {
            return;
        }
        let mut slots = FenceSlots::default();
        for request in [&self.snapshot.previous, &self.snapshot.off] {
            let done = atomic::commit(
                self.device.as_fd(),
                DRM_MODE_ATOMIC_ALLOW_MODESET,
                request.arrays(),
                &mut slots,
                0,
            );
            if done.is_ok() {
                break;
            }
        }
        self.undone.fetch_max(changes, Ordering::AcqRel);
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        self.run();
    }
}

/// [`Restore::run`] as a signal action. It only makes system calls on prepared memory.
pub(crate) struct RestoreInHandler(pub(crate) Arc<Restore>);

impl SignalAction for RestoreInHandler {
    fn run(&self) {
        self.0.run();
    }
}
