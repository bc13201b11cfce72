//! A Vulkan command that failed, on its way to the error of what was asked for.

use ash::vk;
use dmashare::{ExportError, FenceError, ImportError, SubmitError};

use crate::error::{DeviceError, TransferError};

/// A Vulkan command that failed; becomes the error of whatever was asked for.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{operation} failed")]
pub(crate) struct Failure {
    pub(crate) operation: &'static str,
    pub(crate) source: vk::Result,
}

impl Failure {
    pub(crate) fn device(self, device: &str) -> DeviceError {
        DeviceError::Vulkan {
            device: device.to_owned(),
            operation: self.operation,
            source: self.source,
        }
    }

    pub(crate) fn export(self, exporter: &str) -> ExportError {
        ExportError::Device {
            exporter: exporter.to_owned(),
            operation: self.operation,
            source: self.source.into(),
        }
    }

    /// Results that say that the driver does not take this image or memory, whenever it is asked, are a
    /// refusal.
    pub(crate) fn import(self, importer: &str) -> ImportError {
        let (importer, operation) = (importer.to_owned(), self.operation);
        let source = self.source.into();
        match self.source {
            vk::Result::ERROR_INVALID_EXTERNAL_HANDLE
            | vk::Result::ERROR_FORMAT_NOT_SUPPORTED
            | vk::Result::ERROR_INVALID_DRM_FORMAT_MODIFIER_PLANE_LAYOUT_EXT => {
                ImportError::Refused {
                    importer,
                    operation,
                    source,
                }
            }
            _ => ImportError::Device {
                importer,
                operation,
                source,
            },
        }
    }

    pub(crate) fn fence(self, producer: &str) -> FenceError {
        FenceError::Device {
            operation: self.operation,
            producer: producer.to_owned(),
            source: self.source.into(),
        }
    }
}

impl From<Failure> for SubmitError {
    fn from(failure: Failure) -> Self {
        Self::Device {
            operation: failure.operation,
            source: failure.source.into(),
        }
    }
}

impl From<Failure> for TransferError {
    fn from(failure: Failure) -> Self {
        Self::Device {
            operation: failure.operation,
            source: failure.source.into(),
        }
    }
}

/// Names the command of a failed call.
pub(crate) trait Named<T> {
    /// The result with the name of the Vulkan command that gave it.
    fn named(self, operation: &'static str) -> Result<T, Failure>;
}

impl<T> Named<T> for Result<T, vk::Result> {
    fn named(self, operation: &'static str) -> Result<T, Failure> {
        self.map_err(|source| Failure { operation, source })
    }
}
