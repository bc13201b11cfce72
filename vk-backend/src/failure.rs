//! A failed Vulkan command, and its conversion into the public errors.

use ash::vk;
use dmashare::{ExportError, FenceError, ImportError, SubmitError};

use crate::error::{DeviceError, TransferError};

/// A Vulkan command that failed. It becomes the error type of the operation that needed it.
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

    /// Results by which the driver rejects this image or memory for good become `Refused`.
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

/// Attaches the name of a Vulkan command to its result.
pub(crate) trait Named<T> {
    /// Attaches `operation` to the error.
    fn named(self, operation: &'static str) -> Result<T, Failure>;
}

impl<T> Named<T> for Result<T, vk::Result> {
    fn named(self, operation: &'static str) -> Result<T, Failure> {
        self.map_err(|source| Failure { operation, source })
    }
}
