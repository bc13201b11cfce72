//! Property blobs: property values that do not fit 64 bits.

use std::os::fd::AsFd;
use std::sync::Arc;

use drm::control::Device as _;

use crate::device::DrmDevice;
use crate::error::DeviceError;
use crate::kms::mode::Mode;
use crate::sys;

/// A property blob, destroyed on drop. A KMS state that uses a blob holds its own reference, so this
/// handle needs to live only until the commit ioctl has returned.
#[derive(Debug)]
pub(crate) struct PropertyBlob {
    device: Arc<DrmDevice>,
    id: u32,
}

impl PropertyBlob {
    /// Creates a blob for a CRTC's `MODE_ID`.
    pub(crate) fn mode(device: &Arc<DrmDevice>, mode: Mode) -> Result<Self, DeviceError> {
        let blob = device.call("MODE_CREATEPROPBLOB", || {
            device.create_property_blob(&mode.as_drm())
        })?;
        Ok(Self {
            device: device.clone(),
            // The kernel's ids have 32 bits; property values have 64.
            id: u32::try_from(u64::from(blob)).unwrap_or(0),
        })
    }

    /// Creates a blob from bytes in the layout that the property requires. `drm-ffi` takes a mutable
    /// slice, but the kernel only reads it.
    pub(crate) fn new(device: &Arc<DrmDevice>, bytes: &mut [u8]) -> Result<Self, DeviceError> {
        let blob = device.call("MODE_CREATEPROPBLOB", || {
            drm_ffi::mode::create_property_blob(device.as_fd(), bytes)
        })?;
        Ok(Self {
            device: device.clone(),
            id: blob.blob_id,
        })
    }

    /// The property value that references the blob.
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
