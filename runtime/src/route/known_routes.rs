//! State that attachments by routes share: the known detours, the devices' refusals, and the counters.

use std::fmt;
use std::sync::Arc;

use crate::buffer::attachment_error::MapError;
use crate::buffer::invalidation::{Invalidate, InvalidationContext};
use crate::buffer::move_error::MoveError;
use crate::locks::{AtomicU64, Ordering};
use crate::memory::backing::Backing;
use crate::memory::importer::Importer;
use crate::route::detour::Detour;
use crate::route::policy::ShadowReason;
use crate::route::refusals::{Refusals, RefusedImage};
use crate::shared_buffer::SharedBuffer;

/// The application's callback, which an attachment keeps when its route changes.
#[derive(Clone)]
pub(super) struct SharedCallback(Arc<dyn Invalidate>);

impl SharedCallback {
    pub(super) fn new(callback: impl Invalidate) -> Self {
        Self(Arc::new(callback))
    }
}

impl Invalidate for SharedCallback {
    fn invalidate(&self, context: &InvalidationContext<'_>) {
        self.0.invalidate(context);
    }
}

impl fmt::Debug for SharedCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedCallback")
    }
}

/// Shared by the clones of [`Routes`](crate::route::Routes) and the attachments that it made.
#[derive(Debug, Default)]
pub(super) struct KnownRoutes {
    pub(super) detours: Vec<Detour>,
    pub(super) refusals: Refusals,
    pub(super) direct: AtomicU64,
    pub(super) shadows: AtomicU64,
    pub(super) bytes: AtomicU64,
}

impl KnownRoutes {
    pub(super) fn copied(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns why a copy is needed, if a copy helps against this error of a map; otherwise the error.
    /// If the device refused the memory, this remembers it.
    pub(super) fn reason<I: Importer>(
        &self,
        buffer: &SharedBuffer,
        importer: &I,
        backing: &Backing,
        error: MapError,
    ) -> Result<ShadowReason, MapError> {
        match error {
            MapError::Import(error) if error.is_refusal() => {
                let error = with_causes(&error);
                let image = refused_image(buffer, importer, backing);
                self.refusals.remember(image, error.clone());
                Ok(ShadowReason::Refused { error })
            }
            MapError::Unreachable { reason, .. } => Ok(ShadowReason::Unreachable { reason }),
            MapError::Move { source } if is_in_the_way(&source) => Ok(ShadowReason::Unreachable {
                reason: with_causes(&source),
            }),
            error => Err(error),
        }
    }
}

/// Whether the error means that the buffer must stay where it is, as opposed to one that may pass.
fn is_in_the_way(error: &MoveError) -> bool {
    matches!(
        error,
        MoveError::Pinned { .. }
            | MoveError::Static { .. }
            | MoveError::NoPlacement { .. }
            | MoveError::NoSpace { .. }
    )
}

pub(super) fn refused_image<I: Importer>(
    buffer: &SharedBuffer,
    importer: &I,
    backing: &Backing,
) -> RefusedImage {
    let exporter = buffer.exporter().map(|exporter| exporter.name());
    RefusedImage::new(importer.name(), exporter, buffer.desc(), backing)
}

/// Formats an error with all its causes, in one line.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}
