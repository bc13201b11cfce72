//! The state that a card was in before, and its restoration.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use drm_ffi::DRM_MODE_ATOMIC_ALLOW_MODESET;

use crate::blob::PropertyBlob;
use crate::device::DrmDevice;
use crate::property::Properties;
use crate::request::Request;
use crate::sys::atomic::{self, FenceSlots};
use crate::sys::signal::SignalAction;
use crate::{DeviceError, PlaneProperty};

/// What was on when the card was opened.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    /// Active CRTCs with the ids of their `ACTIVE` and `MODE_ID`.
    pub(crate) crtcs: Vec<(u32, u32, u32)>,
    /// Planes that show something, by id.
    pub(crate) planes: Vec<u32>,
    /// Connectors that are driven, with the id of their `CRTC_ID`.
    pub(crate) connectors: Vec<(u32, u32)>,
}

impl Foreign {
    /// Whether nothing was on.
    pub(crate) fn is_empty(&self) -> bool {
        self.crtcs.is_empty() && self.planes.is_empty() && self.connectors.is_empty()
    }
}

/// The requests that bring back what was shown, prepared in advance: a signal handler may not
/// allocate.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    previous: Request,
    off: Request,
    /// Copies of the modes: the kernel forgets a mode with the last CRTC that uses it.
    blobs: Vec<PropertyBlob>,
    foreign: Foreign,
}

/// What commits of this crate change of a plane: where it is and what it shows.
const PLANE_PLACE: [&str; 10] = [
    "FB_ID", "CRTC_ID", "SRC_X", "SRC_Y", "SRC_W", "SRC_H", "CRTC_X", "CRTC_Y", "CRTC_W", "CRTC_H",
];

impl Snapshot {
    pub(crate) fn add_crtc(
        &mut self,
        device: &Arc<DrmDevice>,
        id: u32,
        properties: &Properties,
    ) -> Result<(), DeviceError> {
        let (Some(active), Some(mode)) = (properties.get("ACTIVE"), properties.get("MODE_ID"))
        else {
            return Ok(());
        };
        let mut blob = 0;
        if let Some(mut data) = properties.blob(device, "MODE_ID")? {
            let copy = PropertyBlob::new(device, &mut data)?;
            blob = copy.value();
            self.blobs.push(copy);
        }
        self.previous.object(id);
        self.previous.set(active.id, active.value);
        self.previous.set(mode.id, blob);
        self.off.object(id);
        self.off.set(active.id, 0);
        self.off.set(mode.id, 0);
        if active.value != 0 || mode.value != 0 {
            self.foreign.crtcs.push((id, active.id, mode.id));
        }
        Ok(())
    }

    pub(crate) fn add_plane(&mut self, id: u32, properties: &Properties) {
        self.previous.object(id);
        for name in PLANE_PLACE {
            if let Some(property) = properties.get(name) {
                self.previous.set(property.id, property.value);
            }
        }
        // How it shows it: a plane that is off keeps that, and the next program may not expect it.
        let appearance = || {
            let properties =
                PlaneProperty::configured().filter_map(|property| properties.get(property.name()));
            properties.filter(|property| !property.immutable)
        };
        for property in appearance() {
            self.previous.set(property.id, property.value);
        }
        if let (Some(fb), Some(crtc)) = (properties.get("FB_ID"), properties.get("CRTC_ID")) {
            self.off.object(id);
            self.off.set(fb.id, 0);
            self.off.set(crtc.id, 0);
            for property in appearance() {
                self.off.set(property.id, property.value);
            }
            if crtc.value != 0 {
                self.foreign.planes.push(id);
            }
        }
    }

    pub(crate) fn add_connector(&mut self, id: u32, properties: &Properties) {
        if let Some(crtc) = properties.get("CRTC_ID") {
            self.previous.object(id);
            self.previous.set(crtc.id, crtc.value);
            self.off.object(id);
            self.off.set(crtc.id, 0);
            if crtc.value != 0 {
                self.foreign.connectors.push((id, crtc.id));
            }
        }
    }

    /// What others had switched on.
    pub(crate) fn take_foreign(&mut self) -> Foreign {
        std::mem::take(&mut self.foreign)
    }
}

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
    /// A second call that comes before the first is done (another signal: somebody is impatient) does
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
