//! Errors of routes and of their copies.

use std::fmt;

use crate::box_error::BoxError;
use crate::buffer::attachment_error::{AttachError, MapError};
use crate::buffer::submit_error::SubmitError;
use crate::dmabuf::cpu_access_error::CpuAccessError;
use crate::fence::error::FenceError;
use crate::image::buffer_desc::Usage;
use crate::memory::export_error::ExportError;
use crate::route::policy::ShadowReason;

/// Error of [`Routes::attach`](crate::route::Routes::attach). The buffer is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// The attachment failed for a reason that a copy does not solve, such as a revoked buffer or an
    /// open submission of this thread.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The first map failed for a reason that may pass, such as a lack of memory or descriptors. The
    /// caller can try again.
    #[error("'{buffer}' cannot be mapped")]
    Map {
        /// Name of the buffer.
        buffer: String,
        /// Cause of the failed map.
        source: MapError,
    },
    /// The device does not take the buffer, and the policy allows no copy.
    #[error("{importer} cannot use '{buffer}' directly ({reason}), and the policy allows no copy")]
    NotDirect {
        /// Name of the buffer.
        buffer: String,
        /// Name of the device.
        importer: String,
        /// Why the device does not take the buffer.
        reason: ShadowReason,
    },
    /// The device takes neither the buffer nor a copy by any of the detours.
    #[error("no route from '{buffer}' to {importer}: {reason}{}", listed(.detours))]
    NoRoute {
        /// Name of the buffer.
        buffer: String,
        /// Name of the device.
        importer: String,
        /// Why the device does not take the buffer itself.
        reason: ShadowReason,
        /// Why each detour failed, in the order in which they were tried.
        detours: Vec<RefusedDetour>,
    },
}

fn listed(detours: &[RefusedDetour]) -> String {
    if detours.is_empty() {
        return "; no detour is known".to_owned();
    }
    detours
        .iter()
        .map(|refused| format!("\n  - {refused}"))
        .collect()
}

/// A detour that failed, and why.
#[derive(Debug)]
#[non_exhaustive]
pub struct RefusedDetour {
    /// The exporter that would have made the memory, and the engine that would have copied.
    pub detour: String,
    /// Why the copy could not be made.
    pub error: CopyError,
}

impl fmt::Display for RefusedDetour {
    /// Formats the detour and its error with all causes, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.detour, self.error)?;
        let mut cause = std::error::Error::source(&self.error);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Error of [`RoutedAttachment::map`](crate::route::RoutedAttachment::map).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoutedMapError {
    /// The buffer or its copy could not be mapped.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The copy that the device uses could not be brought up to date. The next map tries again.
    #[error("the copy of '{buffer}' could not be brought up to date")]
    Shadow {
        /// Name of the buffer.
        buffer: String,
        /// Cause of the failed copy.
        source: Box<CopyError>,
    },
    /// The device took the buffer when it was attached but refuses it now, and no detour works either.
    #[error("the device can no longer use '{buffer}'")]
    Route {
        /// Name of the buffer.
        buffer: String,
        /// Why no shadow could be made.
        source: Box<RouteError>,
    },
}

/// Why a copy could not be made or brought up to date. The damage is kept, and the next attempt copies
/// it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The exporter of the copy cannot make it.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The engine could not be attached to a buffer, or the device to the copy.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The engine could not map a buffer, or the device could not map the copy.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The buffer's description lacks the usage that this engine needs.
    #[error("'{buffer}' was not made for {usage}: add it to the usage of its description")]
    Usage {
        /// Name of the buffer.
        buffer: String,
        /// The missing usage.
        usage: Usage,
    },
    /// The buffers differ in format or extent, or share memory.
    #[error(
        "'{shadow}' cannot be a copy of '{buffer}': they differ in format or extent, or share memory"
    )]
    Mismatch {
        /// Name of the buffer.
        buffer: String,
        /// Name of the buffer that was to become its copy.
        shadow: String,
    },
    /// The copy's memory is not what the device takes.
    #[error("the copy does not suit the device: {reason}")]
    Unfit {
        /// The part of the device's constraint that the copy does not meet.
        reason: String,
    },
    /// The work could not be submitted.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// A fence that the copy waits for failed, or did not signal in time.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// The CPU could not access a buffer.
    #[error(transparent)]
    CpuAccess(#[from] CpuAccessError),
    /// An operation of the engine's device failed.
    #[error("{operation} failed on {device}")]
    Device {
        /// Name of the device.
        device: String,
        /// The operation that failed.
        operation: &'static str,
        /// Error that the device reported.
        source: BoxError,
    },
}
