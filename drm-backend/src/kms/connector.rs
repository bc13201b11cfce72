//! Connectors: display connectors and writeback connectors.

use std::sync::Arc;

use dmashare::Fourcc;
use drm::control::{Device as _, connector};

use crate::device::DrmDevice;
use crate::error::{DeviceError, OpenError};
use crate::kms::mode::Mode;
use crate::kms::property::{Properties, PropertyNames};

/// The immutable part of a connector.
#[derive(Debug)]
pub(crate) struct Connector {
    pub(crate) id: u32,
    /// Name of the connector, such as "Virtual-1".
    pub(crate) name: Arc<str>,
    /// Label of scanout pins, such as "scanout Virtual-1".
    pub(crate) scanout_label: Arc<str>,
    /// Label of writeback pins, such as "writeback Virtual-1".
    pub(crate) writeback_label: Arc<str>,
    /// Bit `n` is set if the card's `n`-th CRTC can drive the connector.
    pub(crate) possible_crtcs: u32,
    pub(crate) crtc_id: u32,
    pub(crate) writeback: Option<WritebackProperties>,
}

/// Formats and property ids of a writeback connector.
#[derive(Debug)]
pub(crate) struct WritebackProperties {
    pub(crate) fb_id: u32,
    pub(crate) out_fence_ptr: u32,
    pub(crate) formats: Vec<Fourcc>,
}

/// The mutable part of a connector: whether a display is connected, its modes and its size.
#[derive(Clone, Debug)]
pub(crate) struct ConnectorStatus {
    pub(crate) connected: bool,
    pub(crate) modes: Vec<Mode>,
    pub(crate) millimetres: Option<(u32, u32)>,
}

impl Connector {
    /// Reads a new connector from the device, and returns it with its properties and their current
    /// values. This does not probe the connector.
    pub(crate) fn read(
        device: &DrmDevice,
        names: &mut PropertyNames,
        handle: connector::Handle,
    ) -> Result<(Self, Properties), OpenError> {
        let info = device.call("MODE_GETCONNECTOR", || device.get_connector(handle, false))?;
        let id = u32::from(handle);
        let name = info.to_string();
        let mut possible_crtcs = 0;
        for encoder in info.encoders() {
            let encoder = device.call("MODE_GETENCODER", || {
                use std::os::fd::AsFd;
                drm_ffi::mode::get_encoder(device.as_fd(), u32::from(*encoder))
            })?;
            possible_crtcs |= encoder.possible_crtcs;
        }
        let properties = names.read(device, handle, format!("connector {name}"))?;
        let writeback = if info.interface() == connector::Interface::Writeback {
            let formats = properties
                .blob(device, "WRITEBACK_PIXEL_FORMATS")?
                .unwrap_or_default();
            Some(WritebackProperties {
                fb_id: properties.id(device, "WRITEBACK_FB_ID")?,
                out_fence_ptr: properties.id(device, "WRITEBACK_OUT_FENCE_PTR")?,
                formats: fourccs(&formats),
            })
        } else {
            None
        };
        let connector = Self {
            id,
            scanout_label: format!("scanout {name}").into(),
            writeback_label: format!("writeback {name}").into(),
            name: name.into(),
            possible_crtcs,
            crtc_id: properties.id(device, "CRTC_ID")?,
            writeback,
        };
        Ok((connector, properties))
    }

    /// Reads the connection status. With `probe`, the driver probes the connector, which can be slow
    /// because it may read the monitor's EDID; without it, the driver returns the last known status.
    pub(crate) fn status(
        &self,
        device: &DrmDevice,
        probe: bool,
    ) -> Result<ConnectorStatus, DeviceError> {
        let Some(handle) = drm::control::from_u32(self.id) else {
            unreachable!("a connector id comes from a handle, and a handle is never 0");
        };
        let info = device.call("MODE_GETCONNECTOR", || device.get_connector(handle, probe))?;
        Ok(ConnectorStatus {
            connected: info.state() == connector::State::Connected,
            modes: info.modes().iter().copied().map(Mode::from_drm).collect(),
            millimetres: info.size(),
        })
    }
}

/// Parses an array of fourccs, such as a `WRITEBACK_PIXEL_FORMATS` blob.
fn fourccs(blob: &[u8]) -> Vec<Fourcc> {
    blob.chunks_exact(4)
        .filter_map(|bytes| bytes.try_into().ok())
        .map(|bytes| Fourcc::new(u32::from_ne_bytes(bytes)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formats_blob_is_an_array() {
        let mut blob = Vec::new();
        blob.extend(Fourcc::XRGB8888.as_raw().to_ne_bytes());
        blob.extend(Fourcc::RGB565.as_raw().to_ne_bytes());
        blob.push(1);
        assert_eq!(fourccs(&blob), [Fourcc::XRGB8888, Fourcc::RGB565]);
        assert!(fourccs(&[]).is_empty());
    }
}
