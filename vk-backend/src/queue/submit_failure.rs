//! Why the library's own work was not submitted.

use dmashare::{ExportError, FenceError, SubmitError};

use crate::core::queue_lock::QueueHeld;
use crate::failure::Failure;

/// The reason of a failed submission.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitFailure {
    #[error(transparent)]
    Held(#[from] QueueHeld),
    #[error(transparent)]
    Failure(#[from] Failure),
    #[error(transparent)]
    Fence(#[from] FenceError),
    #[error(transparent)]
    Wait(#[from] SubmitError),
}

impl SubmitFailure {
    pub(crate) fn fence(self, producer: &str) -> FenceError {
        match self {
            Self::Held(held) => FenceError::Device {
                operation: "locking the queue",
                producer: producer.to_owned(),
                source: held.into(),
            },
            Self::Failure(failure) => failure.fence(producer),
            Self::Fence(error) => error,
            Self::Wait(error) => FenceError::Device {
                operation: "waiting for a fence",
                producer: producer.to_owned(),
                source: error.into(),
            },
        }
    }

    pub(crate) fn export(self, exporter: &str) -> ExportError {
        let (operation, source) = match self {
            Self::Held(held) => ("locking the queue", held.into()),
            Self::Failure(failure) => return failure.export(exporter),
            Self::Fence(error) => ("converting a fence to a semaphore", error.into()),
            Self::Wait(error) => ("converting a fence to a semaphore", error.into()),
        };
        ExportError::Device {
            exporter: exporter.to_owned(),
            operation,
            source,
        }
    }
}
