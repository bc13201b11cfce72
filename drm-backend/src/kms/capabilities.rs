//! Driver capabilities of a card.

use dmashare::Extent;
use drm::{ClientCapability, Device as _, DriverCapability};

use crate::device::{DrmDevice, PRIME_CAP_EXPORT, PRIME_CAP_IMPORT};
use crate::error::OpenError;
use crate::kms::resources::Resources;
use crate::sys::retry;

/// Capabilities that the driver reports (`DRM_IOCTL_GET_CAP`, `DRM_IOCTL_MODE_GETRESOURCES`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Framebuffers can have explicit modifiers (`DRM_CAP_ADDFB2_MODIFIERS`). Without this capability, only
    /// LINEAR can be imported.
    pub addfb2_modifiers: bool,
    /// The driver can import dma-bufs from other devices (`DRM_PRIME_CAP_IMPORT`).
    pub prime_import: bool,
    /// The driver can export its buffers as dma-bufs (`DRM_PRIME_CAP_EXPORT`).
    pub prime_export: bool,
    /// The driver supports dumb buffers (`DRM_CAP_DUMB_BUFFER`).
    pub dumb_buffer: bool,
    /// Event timestamps use `CLOCK_MONOTONIC` (`DRM_CAP_TIMESTAMP_MONOTONIC`).
    pub timestamp_monotonic: bool,
    /// Smallest framebuffer size, in pixels.
    pub minimum_extent: Extent,
    /// Largest framebuffer size, in pixels.
    pub maximum_extent: Extent,
}

impl Capabilities {
    pub(crate) fn read(device: &DrmDevice, resources: &Resources) -> Self {
        let prime = device.capability(DriverCapability::Prime).unwrap_or(0);
        let Resources {
            minimum, maximum, ..
        } = resources;
        Self {
            addfb2_modifiers: device.has(DriverCapability::AddFB2Modifiers),
            prime_import: prime & PRIME_CAP_IMPORT != 0,
            prime_export: prime & PRIME_CAP_EXPORT != 0,
            dumb_buffer: device.has(DriverCapability::DumbBuffer),
            timestamp_monotonic: device.has(DriverCapability::MonotonicTimestamp),
            minimum_extent: Extent::new(minimum.width.max(1), minimum.height.max(1)),
            maximum_extent: *maximum,
        }
    }
}

/// Enables the client capabilities for universal planes, atomic commits and writeback connectors.
pub(crate) fn enable_client_capabilities(device: &DrmDevice) -> Result<(), OpenError> {
    let enable = |capability| retry(|| device.set_client_capability(capability, true));
    // Every mode-setting driver supports universal planes, so an error means that this is not one: a
    // render node returns EACCES, and a device without displays returns EOPNOTSUPP.
    if enable(ClientCapability::UniversalPlanes).is_err() {
        return Err(OpenError::NoKms {
            card: device.name().to_owned(),
        });
    }
    enable(ClientCapability::Atomic).map_err(|source| OpenError::NoAtomic {
        card: device.name().to_owned(),
        source,
    })?;
    // Not an error: a kernel without this capability has no writeback connectors either.
    if let Err(error) = enable(ClientCapability::WritebackConnectors) {
        tracing::debug!(%error, card = device.name(), "no writeback connectors");
    }
    Ok(())
}
