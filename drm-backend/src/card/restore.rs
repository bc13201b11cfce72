//! The state that a card was in before, and its restoration.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use drm_ffi::DRM_MODE_ATOMIC_ALLOW_MODESET;

use crate::device::DrmDevice;
use crate::kms::snapshot::Snapshot;
use crate::sys::atomic;
use crate::sys::atomic::FenceSlots;
use crate::sys::signal::SignalAction;

/// Restores the previous state when it is dropped, or earlier in a signal handler.
#[derive(Debug)]
pub(crate) struct Restore {
    device: Arc<DrmDevice>,
    snapshot: Snapshot,
    /// How often something was about to be changed.
    changes: AtomicU64,
    /// How many of these changes were undone.
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

    /// Something is about to be changed.
    pub(crate) fn taint(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Shows what was shown before, or nothing if that is gone (its framebuffers went with their
    /// owner). Blocks until it is on the screen, a frame or two. Allocates nothing.
    ///
    /// A second call that comes before the first is done (another signal) does
    /// the same again: after it the process may end, which would interrupt the first.
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

/// [`Restore::run`] in a signal handler: system calls on prepared memory only.
pub(crate) struct RestoreInHandler(pub(crate) Arc<Restore>);

impl SignalAction for RestoreInHandler {
    fn run(&self) {
        self.0.run();
    }
}
