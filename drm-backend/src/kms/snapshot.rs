//! Snapshot of the KMS state of a card when it was opened.

use std::sync::Arc;

use crate::device::DrmDevice;
use crate::error::DeviceError;
use crate::kms::blob::PropertyBlob;
use crate::kms::property::Properties;
use crate::kms::request::Request;
use crate::plane_property::PlaneProperty;

/// The placement and content properties of a plane that this crate's commits change.
const PLANE_PLACE: [&str; 10] = [
    "FB_ID", "CRTC_ID", "SRC_X", "SRC_Y", "SRC_W", "SRC_H", "CRTC_X", "CRTC_Y", "CRTC_W", "CRTC_H",
];

/// A CRTC that another program set up.
#[derive(Debug)]
pub(crate) struct ForeignCrtc {
    pub(crate) id: u32,
    /// Property id of `ACTIVE`.
    pub(crate) active: u32,
    /// Property id of `MODE_ID`.
    pub(crate) mode_id: u32,
    /// The CRTC has a mode but is inactive (DPMS off).
    pub(crate) sleeps: bool,
}

/// A plane that another program set up on a CRTC.
#[derive(Debug)]
pub(crate) struct ForeignPlane {
    pub(crate) id: u32,
    /// Its CRTC is inactive.
    pub(crate) sleeps: bool,
}

/// A connector that another program set up.
#[derive(Debug)]
pub(crate) struct ForeignConnector {
    pub(crate) id: u32,
    /// Property id of `CRTC_ID`.
    pub(crate) crtc_id: u32,
    /// Its CRTC is inactive.
    pub(crate) sleeps: bool,
}

/// The KMS objects that other programs had set up when the snapshot was taken.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    pub(crate) crtcs: Vec<ForeignCrtc>,
    pub(crate) planes: Vec<ForeignPlane>,
    pub(crate) connectors: Vec<ForeignConnector>,
}

impl Foreign {
    /// Whether no object was set up.
    pub(crate) fn is_empty(&self) -> bool {
        self.crtcs.is_empty() && self.planes.is_empty() && self.connectors.is_empty()
    }

    /// Whether any of the objects is inactive.
    pub(crate) fn sleeps(&self) -> bool {
        self.crtcs.iter().any(|crtc| crtc.sleeps)
            || self.planes.iter().any(|plane| plane.sleeps)
            || self.connectors.iter().any(|connector| connector.sleeps)
    }

    /// Removes the inactive objects, which are now off.
    pub(crate) fn forget_sleeping(&mut self) {
        self.crtcs.retain(|crtc| !crtc.sleeps);
        self.planes.retain(|plane| !plane.sleeps);
        self.connectors.retain(|connector| !connector.sleeps);
    }

    fn is_active(&self, crtc: u64) -> bool {
        let mut crtcs = self.crtcs.iter();
        crtcs.any(|known| u64::from(known.id) == crtc && !known.sleeps)
    }
}

/// The requests that restore the previous KMS state. They are prepared in advance because a signal
/// handler must not allocate.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) previous: Request,
    pub(crate) off: Request,
    /// Copies of the mode blobs. The kernel frees a mode blob with the last CRTC that uses it.
    blobs: Vec<PropertyBlob>,
    foreign: Foreign,
}

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
            self.foreign.crtcs.push(ForeignCrtc {
                id,
                active: active.id,
                mode_id: mode.id,
                sleeps: active.value == 0,
            });
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
        // An inactive plane keeps its appearance properties, which the next program may not expect.
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
                let sleeps = !self.foreign.is_active(crtc.value);
                self.foreign.planes.push(ForeignPlane { id, sleeps });
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
                let sleeps = !self.foreign.is_active(crtc.value);
                self.foreign.connectors.push(ForeignConnector {
                    id,
                    crtc_id: crtc.id,
                    sleeps,
                });
            }
        }
    }

    /// Takes the objects that other programs had set up.
    pub(crate) fn take_foreign(&mut self) -> Foreign {
        std::mem::take(&mut self.foreign)
    }
}
