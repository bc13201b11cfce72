//! The static KMS objects of a card: CRTCs, planes and writeback connectors.

use std::os::fd::AsFd;
use std::sync::Arc;

use dmashare::Extent;
use drm::control::{crtc, from_u32, plane};

use crate::device::DrmDevice;
use crate::error::{DeviceError, OpenError};
use crate::kms::connector::Connector;
use crate::kms::crtc_assignment::assign;
use crate::kms::format_set::FormatSet;
use crate::kms::plane::{Plane, PlaneKind};
use crate::kms::property::PropertyNames;
use crate::kms::snapshot::Snapshot;
use crate::sys;

/// A CRTC with the ids of the properties that commits set.
#[derive(Debug)]
pub(crate) struct Crtc {
    pub(crate) id: u32,
    pub(crate) active: u32,
    pub(crate) mode_id: u32,
    pub(crate) out_fence_ptr: Option<u32>,
    /// Index of the primary plane that is assigned to this CRTC.
    pub(crate) primary: Option<usize>,
    /// The writeback connector that is assigned to this CRTC.
    pub(crate) writeback: Option<Arc<Connector>>,
}

/// All static KMS objects of a card.
#[derive(Debug)]
pub(crate) struct Resources {
    pub(crate) crtcs: Vec<Crtc>,
    pub(crate) planes: Vec<Plane>,
    /// The formats that at least one plane supports.
    pub(crate) formats: FormatSet,
    pub(crate) minimum: Extent,
    pub(crate) maximum: Extent,
}

impl Resources {
    /// Reads the static objects, the current connectors, and a snapshot of the current KMS state.
    pub(crate) fn read(
        device: &Arc<DrmDevice>,
        modifiers: bool,
    ) -> Result<(Self, Vec<Arc<Connector>>, Snapshot), OpenError> {
        let ids = device.call("MODE_GETRESOURCES", || {
            sys::mode::get_resources(device.as_fd())
        })?;
        if ids.crtcs.is_empty() {
            return Err(OpenError::NoKms {
                card: device.name().to_owned(),
            });
        }
        let mut names = PropertyNames::default();
        let mut snapshot = Snapshot::default();

        let mut crtcs = Vec::new();
        for id in &ids.crtcs {
            let Some(handle) = from_u32::<crtc::Handle>(*id) else {
                continue;
            };
            let properties = names.read(device, handle, format!("CRTC {id}"))?;
            snapshot.add_crtc(device, *id, &properties)?;
            crtcs.push(Crtc {
                id: *id,
                active: properties.id(device, "ACTIVE")?,
                mode_id: properties.id(device, "MODE_ID")?,
                out_fence_ptr: properties.get("OUT_FENCE_PTR").map(|found| found.id),
                primary: None,
                writeback: None,
            });
        }

        let mut plane_ids = Vec::new();
        device.call("MODE_GETPLANERESOURCES", || {
            drm_ffi::mode::get_plane_resources(device.as_fd(), Some(&mut plane_ids))
        })?;
        let mut planes = Vec::new();
        let mut formats = FormatSet::default();
        for id in plane_ids {
            let Some(handle) = from_u32::<plane::Handle>(id) else {
                continue;
            };
            let index = planes.len();
            let (plane, properties) = Plane::read(device, &mut names, handle, index, modifiers)?;
            snapshot.add_plane(id, &properties);
            formats.extend(plane.formats());
            planes.push(plane);
        }

        let mut connectors = Vec::new();
        for id in ids.connectors {
            let Some(handle) = from_u32(id) else { continue };
            match Connector::read(device, &mut names, handle) {
                Ok((connector, properties)) => {
                    snapshot.add_connector(id, &properties);
                    connectors.push(Arc::new(connector));
                }
                // The connector was removed after it was listed, for example with an MST hub.
                Err(OpenError::Device(error)) if is_gone(&error) => {}
                Err(error) => return Err(error),
            }
        }

        assign_primaries(&mut crtcs, &planes);
        assign_writebacks(&mut crtcs, &connectors);
        let resources = Self {
            crtcs,
            planes,
            formats,
            minimum: Extent::new(ids.minimum.0, ids.minimum.1),
            maximum: Extent::new(ids.maximum.0, ids.maximum.1),
        };
        Ok((resources, connectors, snapshot))
    }

    /// The planes that can be used with a CRTC.
    pub(crate) fn planes_of(&self, crtc: usize) -> impl Iterator<Item = &Plane> {
        self.planes
            .iter()
            .filter(move |plane| plane.fits_crtc(crtc))
    }
}

/// Whether the error means that an object was removed after it was listed.
pub(crate) fn is_gone(error: &DeviceError) -> bool {
    error.source.raw_os_error() == Some(nix::libc::ENOENT)
}

fn assign_primaries(crtcs: &mut [Crtc], planes: &[Plane]) {
    let primaries: Vec<&Plane> = planes
        .iter()
        .filter(|plane| plane.kind() == PlaneKind::Primary)
        .collect();
    let claimants: Vec<_> = primaries
        .iter()
        .map(|plane| (plane.inner.possible_crtcs, None))
        .collect();
    for (plane, crtc) in primaries.iter().zip(assign(&claimants, crtcs.len())) {
        if let Some(crtc) = crtc {
            crtcs[crtc].primary = Some(plane.inner.index);
        }
    }
}

fn assign_writebacks(crtcs: &mut [Crtc], connectors: &[Arc<Connector>]) {
    let writebacks: Vec<&Arc<Connector>> = connectors
        .iter()
        .filter(|connector| connector.writeback.is_some())
        .collect();
    let claimants: Vec<_> = writebacks
        .iter()
        .map(|connector| (connector.possible_crtcs, None))
        .collect();
    for (connector, crtc) in writebacks.iter().zip(assign(&claimants, crtcs.len())) {
        if let Some(crtc) = crtc {
            crtcs[crtc].writeback = Some((*connector).clone());
        }
    }
}
