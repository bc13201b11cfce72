//! An attachment by a route.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::attachment::dynamic::DynamicAttachment;
use crate::attachment::mapping::Mapping;
use crate::attachment::pin::PinGuard;
use crate::buffer::attachment_error::{MapError, PinError};
use crate::locks::{Mutex, lock};
use crate::memory::importer::Importer;
use crate::route::error::RoutedMapError;
use crate::route::known_routes::{KnownRoutes, SharedCallback};
use crate::route::policy::{Route, RoutePolicy, ShadowReason};
use crate::route::shadow::Shadow;
use crate::shared_buffer::SharedBuffer;

/// A device's attachment to a buffer, or to a copy of it that is kept up to date; see
/// [`Routes::attach`](crate::route::Routes::attach). Use it like a [`DynamicAttachment`].
#[must_use = "the device is detached when its attachment is dropped"]
pub struct RoutedAttachment<I: Importer> {
    /// The attachment to the buffer itself; `None` if the first route was a shadow.
    direct: Option<DynamicAttachment<I>>,
    shadow: OnceLock<Shadow<I>>,
    /// Held by the thread that makes the shadow, so that only one does.
    switching: Mutex<()>,
    buffer: SharedBuffer,
    importer: I,
    policy: RoutePolicy,
    callback: SharedCallback,
    known: Arc<KnownRoutes>,
}

impl<I: Importer> RoutedAttachment<I> {
    pub(super) fn new(
        (direct, shadow): (Option<DynamicAttachment<I>>, Option<Shadow<I>>),
        buffer: &SharedBuffer,
        importer: &I,
        policy: RoutePolicy,
        callback: SharedCallback,
        known: &Arc<KnownRoutes>,
    ) -> Self {
        Self {
            direct,
            shadow: shadow.map_or_else(OnceLock::new, OnceLock::from),
            switching: Mutex::new(()),
            buffer: buffer.clone(),
            importer: importer.clone(),
            policy,
            callback,
            known: known.clone(),
        }
    }

    /// The attached buffer.
    pub fn buffer(&self) -> &SharedBuffer {
        &self.buffer
    }

    /// The attached device.
    pub fn importer(&self) -> &I {
        &self.importer
    }

    /// The current route to the buffer, and the reason for it.
    pub fn route(&self) -> Route {
        match self.shadow.get() {
            Some(shadow) => Route::Shadow(shadow.route()),
            None => Route::Direct,
        }
    }

    /// The copy, if there is one. It gives access to the copy's reports and fences.
    pub fn shadow(&self) -> Option<&SharedBuffer> {
        self.shadow.get().map(Shadow::buffer)
    }

    /// Bytes copied for this device so far; 0 for a direct route.
    pub fn bytes_copied(&self) -> u64 {
        self.shadow.get().map_or(0, Shadow::bytes)
    }

    /// Maps the buffer or its copy for the device. This first brings the copy up to date: it then has
    /// everything that was submitted or [reported](SharedBuffer::written) before. A direct route
    /// costs as much as [`DynamicAttachment::map`]; a copy that is up to date costs one more lock.
    ///
    /// # Errors
    /// - Those of [`DynamicAttachment::map`].
    /// - [`RoutedMapError::Shadow`]: the copy could not be brought up to date; the next map tries
    ///   again.
    /// - [`RoutedMapError::Route`]: the device refuses the buffer where it is now, and no shadow
    ///   can be made.
    /// - [`MapError::WouldDeadlock`]: also if something must be copied.
    pub fn map(&self) -> Result<Mapping<I>, RoutedMapError> {
        if let Some(shadow) = self.shadow.get() {
            return shadow.map(&self.buffer, &self.known);
        }
        let Some(direct) = &self.direct else {
            // Unreachable: an attachment starts with one of the two.
            return Err(self.detached().into());
        };
        if self.policy == RoutePolicy::KeepInPlace
            && let Some(demand) = direct.objection()
        {
            return self.map_by_shadow(ShadowReason::WouldMove { demand });
        }
        match direct.map() {
            Err(error) if self.policy != RoutePolicy::DirectOnly => {
                let backing = self.buffer.backing();
                let reason = self
                    .known
                    .reason(&self.buffer, &self.importer, &backing, error)?;
                self.map_by_shadow(reason)
            }
            mapped => Ok(mapped?),
        }
    }

    #[cold]
    fn map_by_shadow(&self, reason: ShadowReason) -> Result<Mapping<I>, RoutedMapError> {
        let switching = lock(&self.switching);
        if self.shadow.get().is_none() {
            let made = Shadow::by_first_detour(
                &self.known,
                &self.buffer,
                &self.importer,
                &self.callback,
                reason,
            );
            let made = made.map_err(|error| RoutedMapError::Route {
                buffer: self.buffer.desc().name.clone(),
                source: Box::new(error),
            })?;
            if let Some(direct) = &self.direct {
                direct.lift_constraint();
                direct.unmap();
            }
            // `switching` is locked, so no other thread sets it.
            drop(self.shadow.set(made).err());
        }
        drop(switching);
        match self.shadow.get() {
            Some(shadow) => shadow.map(&self.buffer, &self.known),
            None => Err(self.detached().into()),
        }
    }

    fn detached(&self) -> MapError {
        MapError::Detached {
            buffer: self.buffer.desc().name.clone(),
        }
    }

    /// Releases the mapping that the attachment keeps.
    pub fn unmap(&self) {
        match (self.shadow.get(), &self.direct) {
            (Some(shadow), _) => shadow.unmap(),
            (None, Some(direct)) => direct.unmap(),
            (None, None) => {}
        }
    }

    /// Pins the buffer or its copy in its place; see [`DynamicAttachment::pin`]. A pin of the copy
    /// leaves the buffer free to move.
    ///
    /// # Errors
    /// The errors of [`DynamicAttachment::pin`].
    pub fn pin(&self, label: impl Into<Arc<str>>) -> Result<PinGuard, PinError> {
        let label = label.into();
        match (self.shadow.get(), &self.direct) {
            (Some(shadow), _) => shadow.pin(&label),
            (None, Some(direct)) => direct.pin(label),
            (None, None) => Err(PinError::Detached {
                buffer: self.buffer.desc().name.clone(),
            }),
        }
    }
}

impl<I: Importer> fmt::Debug for RoutedAttachment<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoutedAttachment")
            .field("buffer", &self.buffer.desc().name)
            .field("importer", &self.importer.name())
            .field("route", &self.route())
            .finish_non_exhaustive()
    }
}
