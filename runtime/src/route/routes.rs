//! Chooses a route.

use std::sync::Arc;

use serde::Serialize;

use crate::attachment::dynamic::DynamicAttachment;
use crate::buffer::attachment_error::AttachError;
use crate::buffer::invalidation::Invalidate;
use crate::locks::Ordering;
use crate::memory::importer::Importer;
use crate::route::detour::Detour;
use crate::route::error::RouteError;
use crate::route::known_routes::{KnownRoutes, SharedCallback, refused_image};
use crate::route::policy::{RoutePolicy, ShadowReason};
use crate::route::routed_attachment::RoutedAttachment;
use crate::route::shadow::Shadow;
use crate::shared_buffer::SharedBuffer;

/// Counters of [`Routes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RouteStatistics {
    /// Attachments to buffers themselves.
    pub direct: u64,
    /// Shadows that were made.
    pub shadows: u64,
    /// Bytes copied into shadows.
    pub bytes_copied: u64,
    /// Remembered refusals.
    pub refusals: u64,
}

/// The routes that a program knows: the detours that can make copies, best first, and what devices have
/// refused so far. Clones share the same state; see [the module's page](crate::route).
#[derive(Clone, Debug, Default)]
pub struct Routes {
    known: Arc<KnownRoutes>,
}

impl Routes {
    /// Direct routes only, until a detour is added.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a detour behind those that are known. The result has its own counters and refusals, which
    /// start empty.
    #[must_use]
    pub fn with_detour(self, detour: Detour) -> Self {
        let mut detours = self.known.detours.clone();
        detours.push(detour);
        Self {
            known: Arc::new(KnownRoutes {
                detours,
                ..KnownRoutes::default()
            }),
        }
    }

    /// Attaches a device that reads the buffer, by the best route that `policy` allows. The device maps
    /// the buffer once, because drivers report only then whether they take it. `callback` is called
    /// before the memory that the device uses moves, be it the buffer's or the copy's.
    ///
    /// # Errors
    /// - [`RouteError::NoRoute`]: neither the buffer nor any detour works; it lists what was tried.
    /// - [`RouteError::NotDirect`]: the device does not take the buffer, and `policy` allows no copy.
    /// - [`RouteError::Attach`], [`RouteError::Map`]: a failure that a copy does not solve.
    pub fn attach<I: Importer>(
        &self,
        buffer: &SharedBuffer,
        importer: &I,
        policy: RoutePolicy,
        callback: impl Invalidate,
    ) -> Result<RoutedAttachment<I>, RouteError> {
        let callback = SharedCallback::new(callback);
        let direct = match policy {
            RoutePolicy::ShadowOnly => Err(ShadowReason::Requested),
            _ => self.attach_directly(buffer, importer, policy, &callback)?,
        };
        let known = &self.known;
        let ends = match direct {
            Ok(direct) => {
                known.direct.fetch_add(1, Ordering::Relaxed);
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
                let shadow = Shadow::by_first_detour(known, buffer, importer, &callback, reason)?;
                (None, Some(shadow))
            }
        };
        Ok(RoutedAttachment::new(
            ends, buffer, importer, policy, callback, known,
        ))
    }

    /// Returns the attachment, or why a copy is needed.
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
            // The buffer would move before the map, so a refusal of its current memory says nothing.
            Some(_) => {}
            None => {
                let image = refused_image(buffer, importer, &buffer.backing());
                if let Some(error) = self.known.refusals.of(&image) {
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
                let reason = self.known.reason(buffer, importer, &backing, error);
                reason.map(Err).map_err(|source| RouteError::Map {
                    buffer: buffer.desc().name.clone(),
                    source,
                })
            }
        }
    }

    /// Forgets what devices have refused. Call it after a driver update, or after a hotplug that gave a
    /// device's name to another device.
    pub fn forget_refusals(&self) {
        self.known.refusals.forget();
    }

    /// Counters since the routes were made.
    pub fn statistics(&self) -> RouteStatistics {
        let known = &self.known;
        RouteStatistics {
            direct: known.direct.load(Ordering::Relaxed),
            shadows: known.shadows.load(Ordering::Relaxed),
            bytes_copied: known.bytes.load(Ordering::Relaxed),
            refusals: known.refusals.len() as u64,
        }
    }
}
