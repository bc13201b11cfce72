//! Why a buffer could not be attached or mapped.

use crate::ImportError;

/// Why a buffer could not be attached to a device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// The importer refused it.
    #[error("'{buffer}' cannot be attached")]
    Import {
        /// The buffer's name.
        buffer: String,
        /// Why.
        source: ImportError,
    },
}

/// Why an attachment could not be mapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// The importer refused the backing.
    #[error(transparent)]
    Import(#[from] ImportError),
}
