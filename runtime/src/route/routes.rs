//! Choosing a route.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::attachment::dynamic::DynamicAttachment;
use crate::buffer::attachment_error::{AttachError, MapError};
use crate::buffer::invalidation::{Invalidate, InvalidationContext};
use crate::buffer::move_error::MoveError;
use crate::locks::{AtomicU64, Ordering};
use crate::memory::backing::Backing;
use crate::memory::importer::Importer;
use crate::route::detour::{Detour, RefusedDetour};
use crate::route::error::RouteError;
use crate::route::policy::{RoutePolicy, ShadowReason};
use crate::route::refusals::{Refusals, RefusedImage};
use crate::route::routed_attachment::RoutedAttachment;
use crate::route::shadow::Shadow;
use crate::shared_buffer::SharedBuffer;

/// A callback that stays with the attachment when its route changes.
#[derive(Clone)]
pub(super) struct SharedCallback(Arc<dyn Invalidate>);

impl Invalidate for SharedCallback {
    fn invalidate(&self, context: &InvalidationContext<'_>) {
        self.0.invalidate(context);
    }
}

/// What routes have cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RouteStatistics {
    /// Attachments to buffers themselves.
    pub direct: u64,
    /// Copies that were made.
    pub shadows: u64,
    /// Bytes that were copied into them.
    pub bytes_copied: u64,
    /// Refusals that are remembered.
    pub refusals: u64,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    detours: Vec<Detour>,
    refusals: Refusals,
    direct: AtomicU64,
    shadows: AtomicU64,
    bytes: AtomicU64,
}

/// The routes that a program knows: the detours by which copies can be made, best first, and what
/// devices have refused so far. Clones are the same; see [the module's page](crate::route).
#[derive(Clone, Debug, Default)]
pub struct Routes {
    shared: Arc<Shared>,
}

impl Routes {
    /// Direct routes only, until a detour is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more detour, behind those that are known. What was counted and remembered
    /// begins anew.
    #[must_use]
    pub fn with_detour(self, detour: Detour) -> Self {
        let mut detours = self.shared.detours.clone();
        detours.push(detour);
        Self {
            shared: Arc::new(Shared {
                detours,
                ..Shared::default()
            }),
        }
    }

    /// Attaches a device that reads the buffer, by the best route that `policy` allows, and has it map
    /// the buffer once, because only then drivers tell whether they take it. `callback` is told before
    /// the memory moves which the device uses: the buffer's, or the copy's.
    ///
    /// # Errors
    /// - [`RouteError::NoRoute`], which tells what was tried; [`RouteError::NotDirect`].
    /// - [`RouteError::Attach`], [`RouteError::Map`]: failures that a copy does not help.
    pub fn attach<I: Importer>(
        &self,
        buffer: &SharedBuffer,
        importer: &I,
        policy: RoutePolicy,
        callback: impl Invalidate,
    ) -> Result<RoutedAttachment<I>, RouteError> {
        let callback = SharedCallback(Arc::new(callback));
        let direct = match policy {
            RoutePolicy::ShadowOnly => Err(ShadowReason::Requested),
            _ => self.attach_directly(buffer, importer, policy, &callback)?,
        };
        let routes = &self.shared;
        let ends = match direct {
            Ok(direct) => {
                routes.direct.fetch_add(1, Ordering::Relaxed);
                (Some(direct), None)
            }
            Err(reason) if policy == RoutePolicy::DirectOnly => {
                return Err(RouteError::NotDirect {
                    buffer: buffer.desc().name.clone(),
                    importer: importer.name().to_owned(),
                    reason,
                });
            }
            Err(reason) => {
                let shadow = Self::make_shadow(routes, buffer, importer, &callback, reason)?;
                (None, Some(shadow))
            }
        };
        Ok(RoutedAttachment::new(
            ends, buffer, importer, policy, callback, routes,
        ))
    }

    /// The attachment, or why a copy is needed.
    fn attach_directly<I: Importer>(
        &self,
        buffer: &SharedBuffer,
        importer: &I,
        policy: RoutePolicy,
        callback: &SharedCallback,
    ) -> Result<Result<DynamicAttachment<I>, ShadowReason>, RouteError> {
        let demand = buffer.objection_in_place(importer);
        match demand {
            Some(demand) if policy == RoutePolicy::KeepInPlace => {
                return Ok(Err(ShadowReason::WouldMove { demand }));
            }
            // It would be mapped elsewhere.
            Some(_) => {}
            None => {
                let image = refused_image(buffer, importer, &buffer.backing());
                if let Some(error) = self.shared.refusals.of(&image) {
                    return Ok(Err(ShadowReason::RefusedBefore { error }));
                }
            }
        }
        let attachment = match buffer.attach_dynamic(importer, callback.clone()) {
            Ok(attachment) => attachment,
            Err(AttachError::Unreachable { reason, .. }) => {
                return Ok(Err(ShadowReason::Unreachable { reason }));
            }
            Err(error) => return Err(error.into()),
        };
        match attachment.map() {
            Ok(_) => Ok(Ok(attachment)),
            Err(error) => {
                let backing = buffer.backing();
                let reason = self.shared.reason(buffer, importer, &backing, error);
                reason.map(Err).map_err(|source| RouteError::Map {
                    buffer: buffer.desc().name.clone(),
                    source,
                })
            }
        }
    }

    /// A copy by the first detour that leads to the device.
    pub(super) fn make_shadow<I: Importer>(
        shared: &Shared,
        buffer: &SharedBuffer,
        importer: &I,
        callback: &SharedCallback,
        reason: ShadowReason,
    ) -> Result<Shadow<I>, RouteError> {
        let mut refused = Vec::new();
        for detour in &shared.detours {
            match Shadow::new(buffer, importer, callback.clone(), detour, reason.clone()) {
                Ok(shadow) => {
                    let route = crate::route::policy::Route::Shadow(shadow.route());
                    tracing::info!(
                        buffer = buffer.desc().name,
                        importer = importer.name(),
                        %route,
                        "not zero-copy"
                    );
                    shared.shadows.fetch_add(1, Ordering::Relaxed);
                    return Ok(shadow);
                }
                Err(error) => refused.push(RefusedDetour {
                    detour: detour.to_string(),
                    error,
                }),
            }
        }
        Err(RouteError::NoRoute {
            buffer: buffer.desc().name.clone(),
            importer: importer.name().to_owned(),
            reason,
            detours: refused,
        })
    }

    /// Forgets what devices have refused: after an update of a driver, or a hotplug that gave a name to
    /// another device.
    pub fn forget_refusals(&self) {
        self.shared.refusals.forget();
    }

    /// What was done so far.
    pub fn statistics(&self) -> RouteStatistics {
        let shared = &self.shared;
        RouteStatistics {
            direct: shared.direct.load(Ordering::Relaxed),
            shadows: shared.shadows.load(Ordering::Relaxed),
            bytes_copied: shared.bytes.load(Ordering::Relaxed),
            refusals: shared.refusals.len() as u64,
        }
    }
}

impl Shared {
    pub(super) fn copied(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Why a copy is needed, if that is what the failure of a map says. A device's refusal of this
    /// memory is remembered.
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

/// Whether the buffer must stay where it is, as far as one can see.
fn is_in_the_way(error: &MoveError) -> bool {
    matches!(
        error,
        MoveError::Pinned { .. }
            | MoveError::Static { .. }
            | MoveError::NoPlacement { .. }
            | MoveError::NoSpace { .. }
    )
}

fn refused_image<I: Importer>(
    buffer: &SharedBuffer,
    importer: &I,
    backing: &Backing,
) -> RefusedImage {
    let exporter = buffer.exporter().map(|exporter| exporter.name());
    RefusedImage::new(importer.name(), exporter, buffer.desc(), backing)
}

/// An error with all its causes, in one line.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}

impl fmt::Debug for SharedCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedCallback")
    }
}
