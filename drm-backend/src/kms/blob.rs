//! Property blobs: values that do not fit the 64 bits of a property.

use std::os::fd::AsFd;
use std::sync::Arc;

use drm::control::Device as _;

use crate::device::DrmDevice;
use crate::error::DeviceError;
use crate::kms::mode::Mode;
use crate::sys;

/// A blob in the kernel. The state that uses it keeps it, so this one lives from before a commit
/// until after its ioctl, and goes with every error.
#[derive(Debug)]
pub(crate) struct PropertyBlob {
    device: Arc<DrmDevice>,
    id: u32,
}

impl PropertyBlob {
    /// For a CRTC's `MODE_ID`.
    pub(crate) fn mode(device: &Arc<DrmDevice>, mode: Mode) -> Result<Self, DeviceError> {
        let blob = device.call("MODE_CREATEPROPBLOB", || {
            device.create_property_blob(&mode.as_drm())
        })?;
        Ok(Self {
            device: device.clone(),
            // The kernel's ids have 32 bits; a property's value has 64.
            id: u32::try_from(u64::from(blob)).unwrap_or(0),
        })
    }

    /// Makes a blob of bytes that are laid out as the property wants them. `drm-ffi` asks for them
    /// mutably; the kernel only reads them.
    pub(crate) fn new(device: &Arc<DrmDevice>, bytes: &mut [u8]) -> Result<Self, DeviceError> {
        let blob = device.call("MODE_CREATEPROPBLOB", || {
            drm_ffi::mode::create_property_blob(device.as_fd(), bytes)
        })?;
        Ok(Self {
            device: device.clone(),
            id: blob.blob_id,
        })
    }

    /// The value that the property is set to.
    pub(crate) fn value(&self) -> u64 {
        self.id.into()
    }
}

impl Drop for PropertyBlob {
    fn drop(&mut self) {
        if let Err(error) = sys::retry_idempotent(|| {
            drm_ffi::mode::destroy_property_blob(self.device.as_fd(), self.id)
        }) {
            tracing::error!(%error, "DESTROYPROPBLOB failed");
        }
    }
}
