//! Errors, one enum for each thing that can be asked for.
//!
//! Every variant keeps the operation and its cause, and its message says what the caller can do
//! where that is not plain from the cause.

mod attachment;
mod cpu_access;
mod descriptor;
mod export;
mod fence;
mod implicit_sync;
mod import;
mod layout;
mod moving;
mod negotiation;
mod residency;
mod route;
mod submit;

pub use attachment::{AttachError, MapError, PinError};
pub use cpu_access::CpuAccessError;
pub use descriptor::{DmaBufError, SyncFileError};
pub use export::ExportError;
pub use fence::FenceError;
pub use implicit_sync::ImplicitSyncError;
pub use import::ImportError;
pub use layout::LayoutError;
pub use moving::{MoveError, RevokeError};
pub use negotiation::{NegotiationError, UnfitError};
pub use residency::ResidencyError;
pub use route::{CopyError, RouteError};
pub use submit::SubmitError;

/// An error of a backend (`vk::Result`, an errno of DRM) that this crate passes on without knowing
/// it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
