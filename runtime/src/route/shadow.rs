//! A copy of a buffer that is kept up to date.

use std::sync::Arc;

use crate::attachment::dynamic::DynamicAttachment;
use crate::attachment::mapping::Mapping;
use crate::attachment::pin::PinGuard;
use crate::buffer::attachment_error::{MapError, PinError};
use crate::buffer::content_watch::UnseenDamage;
use crate::fence::held_reservations;
use crate::image::buffer_desc::{BufferDesc, Usage};
use crate::image::damage::Damage;
use crate::locks::{AtomicU64, Mutex, Ordering, lock};
use crate::memory::importer::Importer;
use crate::route::copy_engine::Copier;
use crate::route::detour::Detour;
use crate::route::error::{CopyError, RefusedDetour, RouteError, RoutedMapError};
use crate::route::known_routes::{KnownRoutes, SharedCallback};
use crate::route::policy::{Route, ShadowReason, ShadowRoute};
use crate::shared_buffer::SharedBuffer;

/// Uses that a shadow never has.
const WRITES: Usage = Usage::RENDER
    .union(Usage::STORAGE)
    .union(Usage::TRANSFER_DESTINATION)
    .union(Usage::CPU_WRITE);

pub(super) struct Shadow<I: Importer> {
    reason: ShadowReason,
    exporter: String,
    engine: String,
    // Declared before `buffer`, so that it detaches before the buffer is dropped.
    attachment: DynamicAttachment<I>,
    copier: Box<dyn Copier>,
    buffer: SharedBuffer,
    /// Damage that is not copied yet.
    unseen: Arc<UnseenDamage>,
    /// Held by the thread that brings the shadow up to date. Other threads wait for it and then have
    /// nothing to do.
    turn: Mutex<()>,
    bytes: AtomicU64,
}

/// Damage that is being copied. What is left in it when this is dropped, also by a panic of the engine, is
/// unseen again.
struct Taken<'a> {
    unseen: &'a UnseenDamage,
    damage: Damage,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.unseen.copied(&self.damage);
    }
}

impl<I: Importer> Shadow<I> {
    /// Makes a shadow, and maps it once for the device. On error, nothing stays allocated or attached.
    pub(super) fn new(
        source: &SharedBuffer,
        importer: &I,
        callback: SharedCallback,
        detour: &Detour,
        reason: ShadowReason,
    ) -> Result<Self, CopyError> {
        let engine = detour.engine();
        let mut desc: BufferDesc = source.desc().clone();
        desc.name = format!("{}, shadow for {}", desc.name, importer.name());
        desc.usage = desc.usage.difference(WRITES) | engine.shadow_usage();
        let constraint = importer.constraint(&desc);
        let buffer = detour.make(desc, &constraint)?;
        let copier = engine.connect(source, &buffer)?;
        buffer.restrict_writes(copier.writer());
        let attachment = buffer.attach_dynamic(importer, callback)?;
        drop(attachment.map()?);
        Ok(Self {
            reason,
            exporter: detour.exporter().to_owned(),
            engine: engine.name().to_owned(),
            attachment,
            copier,
            buffer,
            unseen: source.watch(),
            turn: Mutex::new(()),
            bytes: AtomicU64::new(0),
        })
    }

    /// Makes a shadow by the first detour that works for the device.
    pub(super) fn by_first_detour(
        known: &KnownRoutes,
        buffer: &SharedBuffer,
        importer: &I,
        callback: &SharedCallback,
        reason: ShadowReason,
    ) -> Result<Self, RouteError> {
        let mut refused = Vec::new();
        for detour in &known.detours {
            match Self::new(buffer, importer, callback.clone(), detour, reason.clone()) {
                Ok(shadow) => {
                    let route = Route::Shadow(shadow.route());
                    tracing::info!(
                        buffer = buffer.desc().name,
                        importer = importer.name(),
                        %route,
                        "not zero-copy"
                    );
                    known.shadows.fetch_add(1, Ordering::Relaxed);
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

    pub(super) fn route(&self) -> ShadowRoute {
        ShadowRoute {
            reason: self.reason.clone(),
            shadow: self.buffer.desc().name.clone(),
            exporter: self.exporter.clone(),
            placement: self.buffer.backing().placement(),
            engine: self.engine.clone(),
        }
    }

    pub(super) fn buffer(&self) -> &SharedBuffer {
        &self.buffer
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn unmap(&self) {
        self.attachment.unmap();
    }

    /// Brings the copy up to date and maps it.
    pub(super) fn map(
        &self,
        source: &SharedBuffer,
        known: &KnownRoutes,
    ) -> Result<Mapping<I>, RoutedMapError> {
        if source.is_exported() {
            self.unseen.add(&Damage::whole());
        }
        if !self.unseen.is_nothing() {
            self.refresh(source, known)?;
        }
        Ok(self.attachment.map()?)
    }

    #[cold]
    fn refresh(&self, source: &SharedBuffer, known: &KnownRoutes) -> Result<(), RoutedMapError> {
        if held_reservations::any() {
            let buffer = source.desc().name.clone();
            return Err(MapError::WouldDeadlock { buffer }.into());
        }
        let _turn = lock(&self.turn);
        // A writer adds its fence before its damage, so take the damage before the copy reads the
        // fences.
        let mut taken = Taken {
            unseen: &self.unseen,
            damage: self.unseen.take(),
        };
        if taken.damage.is_nothing() {
            return Ok(());
        }
        match self.copier.copy(&taken.damage) {
            Ok(bytes) => {
                taken.damage = Damage::nothing();
                self.bytes.fetch_add(bytes, Ordering::Relaxed);
                known.copied(bytes);
                tracing::trace!(shadow = self.buffer.desc().name, bytes, "copied");
                Ok(())
            }
            Err(error) => Err(RoutedMapError::Shadow {
                buffer: source.desc().name.clone(),
                source: Box::new(error),
            }),
        }
    }

    pub(super) fn pin(&self, label: &Arc<str>) -> Result<PinGuard, PinError> {
        self.attachment.pin(label.clone())
    }
}
