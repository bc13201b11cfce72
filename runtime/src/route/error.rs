//! Why a buffer cannot reach a device, even by a copy.

use crate::box_error::BoxError;
use crate::buffer::attachment_error::{AttachError, MapError};
use crate::buffer::submit_error::SubmitError;
use crate::dmabuf::cpu_access_error::CpuAccessError;
use crate::fence::error::FenceError;
use crate::image::buffer_desc::Usage;
use crate::memory::export_error::ExportError;
use crate::route::policy::ShadowReason;
use std::fmt;

/// Why no route leads from a buffer to a device. The buffer is as before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// The attachment failed for a reason that a copy would not help: the buffer was revoked, this
    /// thread has an open submission.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The device's first look at the buffer failed for a reason that may pass: no memory, no
    /// descriptor. Try again.
    #[error("'{buffer}' cannot be mapped")]
    Map {
        /// The buffer's name.
        buffer: String,
        /// Why.
        source: MapError,
    },
    /// Only the buffer itself would do, and the device does not take it.
    #[error("{importer} cannot use '{buffer}' itself ({reason}), and a copy is not wanted")]
    NotDirect {
        /// The buffer's name.
        buffer: String,
        /// The device.
        importer: String,
        /// Why it does not take the buffer.
        reason: ShadowReason,
    },
    /// Neither the buffer itself nor a copy by any of the detours.
    #[error("no route leads from '{buffer}' to {importer}: {reason}{}", listed(.detours))]
    NoRoute {
        /// The buffer's name.
        buffer: String,
        /// The device.
        importer: String,
        /// Why it does not take the buffer itself.
        reason: ShadowReason,
        /// Why each detour leads nowhere, in order.
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

/// A detour that leads nowhere, and why.
#[derive(Debug)]
#[non_exhaustive]
pub struct RefusedDetour {
    /// The exporter that would have made the memory, and the engine that would have copied.
    pub detour: String,
    /// Why not.
    pub error: CopyError,
}

impl fmt::Display for RefusedDetour {
    /// With all causes, in one line.
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

/// Why an attachment by a route could not be mapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoutedMapError {
    /// The buffer itself, or the copy, could not be mapped.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The copy that the device uses could not be brought up to date. The next map tries again.
    #[error("the copy of '{buffer}' could not be brought up to date")]
    Shadow {
        /// The buffer's name.
        buffer: String,
        /// Why.
        source: Box<CopyError>,
    },
    /// The device refuses the buffer since it was attached, and no detour leads to it either.
    #[error("'{buffer}' cannot reach the device any more")]
    Route {
        /// The buffer's name.
        buffer: String,
        /// Why.
        source: Box<RouteError>,
    },
}

/// Why a copy could not be made, or could not be brought up to date. What it still lacks is not
/// forgotten: the next try copies it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The exporter of the copy cannot make it.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A buffer cannot be attached to the engine, or the copy not to the device.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// A buffer cannot be mapped by the engine, or the copy not by the device.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The buffer was not described for being copied by this engine.
    #[error("'{buffer}' was not made for {usage}: add it to the usage of its description")]
    Usage {
        /// The buffer's name.
        buffer: String,
        /// What is missing.
        usage: Usage,
    },
    /// The copy's memory is not what the device takes.
    #[error("the copy does not suit the device: {reason}")]
    Unfit {
        /// What is wrong.
        reason: String,
    },
    /// The work could not be submitted.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// What had to be waited for did not end in time, or in an error.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// The CPU could not read or write.
    #[error(transparent)]
    CpuAccess(#[from] CpuAccessError),
    /// An operation of the engine's device failed.
    #[error("{operation} failed on {device}")]
    Device {
        /// The device.
        device: String,
        /// The operation that failed.
        operation: &'static str,
        /// The error of the device.
        source: BoxError,
    },
}
