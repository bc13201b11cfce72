//! Planes: the layers that a CRTC blends into the image on the screen.

use std::os::fd::AsFd;
use std::sync::Arc;

use dmashare::{Fourcc, Modifier};
use drm::control::plane;

use crate::device::DrmDevice;
use crate::error::OpenError;
use crate::kms::format_set::FormatSet;
use crate::kms::in_formats;
use crate::kms::optional_properties::OptionalProperties;
use crate::kms::property::{Properties, PropertyNames};
use crate::plane_property::PlaneProperty;

/// Type of a plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PlaneKind {
    /// The main plane of a CRTC.
    Primary,
    /// An additional plane.
    Overlay,
    /// A small plane for the cursor.
    Cursor,
}

/// A plane of a card. Clones refer to the same plane.
#[derive(Clone, Debug)]
pub struct Plane {
    pub(crate) inner: Arc<PlaneInner>,
}

#[derive(Debug)]
pub(crate) struct PlaneInner {
    pub(crate) id: u32,
    /// Index in the card's list of planes.
    pub(crate) index: usize,
    pub(crate) kind: PlaneKind,
    pub(crate) formats: FormatSet,
    /// Bit `n` is set if the plane can be used with the card's `n`-th CRTC.
    pub(crate) possible_crtcs: u32,
    pub(crate) properties: PlaneProperties,
}

/// Ids of the plane properties that commits set.
#[derive(Debug)]
pub(crate) struct PlaneProperties {
    pub(crate) fb_id: u32,
    pub(crate) crtc_id: u32,
    /// `SRC_X`, `SRC_Y`, `SRC_W`, `SRC_H`: 16.16 fixed point.
    pub(crate) source: [u32; 4],
    /// `CRTC_X`, `CRTC_Y`, `CRTC_W`, `CRTC_H`: pixels.
    pub(crate) destination: [u32; 4],
    pub(crate) in_fence_fd: Option<u32>,
    pub(crate) optional: OptionalProperties,
}

impl PlaneProperties {
    fn new(device: &DrmDevice, plane: u32, properties: &Properties) -> Result<Self, OpenError> {
        let id = |name| properties.id(device, name);
        Ok(Self {
            fb_id: id("FB_ID")?,
            crtc_id: id("CRTC_ID")?,
            source: [id("SRC_X")?, id("SRC_Y")?, id("SRC_W")?, id("SRC_H")?],
            destination: [id("CRTC_X")?, id("CRTC_Y")?, id("CRTC_W")?, id("CRTC_H")?],
            in_fence_fd: properties.get("IN_FENCE_FD").map(|property| property.id),
            optional: OptionalProperties::new(plane, properties),
        })
    }
}

impl Plane {
    /// Reads a plane from the device, and returns it with its properties and their current values.
    pub(crate) fn read(
        device: &DrmDevice,
        names: &mut PropertyNames,
        handle: plane::Handle,
        index: usize,
        modifiers: bool,
    ) -> Result<(Self, Properties), OpenError> {
        let id = u32::from(handle);
        let mut legacy_formats = Vec::new();
        let info = device.call("MODE_GETPLANE", || {
            drm_ffi::mode::get_plane(device.as_fd(), id, Some(&mut legacy_formats))
        })?;
        let properties = names.read(device, handle, format!("plane {id}"))?;
        let kind = match properties.get("type").map(|property| property.value) {
            Some(value) if value == u64::from(drm_ffi::DRM_PLANE_TYPE_PRIMARY) => {
                PlaneKind::Primary
            }
            Some(value) if value == u64::from(drm_ffi::DRM_PLANE_TYPE_CURSOR) => PlaneKind::Cursor,
            _ => PlaneKind::Overlay,
        };
        let in_formats = if modifiers {
            properties.blob(device, "IN_FORMATS")?
        } else {
            None
        };
        let formats = match in_formats.map(|blob| in_formats::parse(&blob)) {
            Some(Ok(formats)) => formats,
            Some(Err(error)) => {
                return Err(device
                    .error("IN_FORMATS", std::io::Error::other(error))
                    .into());
            }
            // Without IN_FORMATS, the driver uses implicit modifiers. Report only LINEAR, the one modifier
            // that means the same to every device.
            None => {
                let mut formats = FormatSet::default();
                for format in legacy_formats {
                    formats.insert(Fourcc::new(format), Modifier::LINEAR);
                }
                formats
            }
        };
        let plane = Self {
            inner: Arc::new(PlaneInner {
                id,
                index,
                kind,
                formats,
                possible_crtcs: info.possible_crtcs,
                properties: PlaneProperties::new(device, id, &properties)?,
            }),
        };
        Ok((plane, properties))
    }

    /// The KMS object id.
    pub fn id(&self) -> u32 {
        self.inner.id
    }

    /// Type of the plane.
    pub fn kind(&self) -> PlaneKind {
        self.inner.kind
    }

    /// The formats and modifiers that the plane supports (`IN_FORMATS`).
    pub fn formats(&self) -> &FormatSet {
        &self.inner.formats
    }

    /// Whether the plane has a property. A commit that needs a property that the plane lacks fails with
    /// [`CommitError::PlaneProperty`](crate::CommitError::PlaneProperty), except for damage, which is
    /// ignored.
    pub fn has(&self, property: PlaneProperty) -> bool {
        self.inner.properties.optional.get(property).is_some()
    }

    pub(crate) fn fits_crtc(&self, crtc_index: usize) -> bool {
        crtc_index < 32 && self.inner.possible_crtcs & (1 << crtc_index) != 0
    }
}
