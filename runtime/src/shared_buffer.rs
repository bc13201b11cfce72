//! A buffer that several devices use.

pub(crate) mod creation;
pub(crate) mod fences;
pub(crate) mod for_routes;
pub(crate) mod report;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::attachment::StaticAttachment;
use crate::attachment::dynamic::DynamicAttachment;
use crate::attachment::export_guard::ExportGuard;
use crate::buffer::BufferInner;
use crate::buffer::attachment_core::AttachmentCore;
use crate::buffer::attachment_error::AttachError;
use crate::buffer::callback_gate::CallbackGate;
use crate::buffer::invalidation::Invalidate;
use crate::buffer::move_error::{MoveError, RevokeError};
use crate::buffer::moving::Move;
use crate::buffer::moving::revocation::Revocation;
use crate::buffer::state::Kind;
use crate::image::buffer_desc::BufferDesc;
use crate::locks::Ordering;
use crate::memory::backing::Backing;
use crate::memory::constraint::AccessConstraint;
use crate::memory::exporter::Exporter;
use crate::memory::importer::Importer;
use crate::shared_buffer::report::{AttachmentReport, BufferReport};
use crate::sync_mode::SyncMode;

/// How often an attach starts again because the buffer has moved meanwhile.
const ROUNDS: usize = 16;

/// A named buffer with its memory, its fences and its attachments. Clones are the same buffer. Its
/// memory is released when the last clone, attachment, mapping and export guard are dropped.
#[derive(Clone)]
pub struct SharedBuffer {
    inner: Arc<BufferInner>,
}

impl SharedBuffer {
    pub(crate) fn inner(&self) -> &Arc<BufferInner> {
        &self.inner
    }

    /// The description that the buffer was made from.
    pub fn desc(&self) -> &BufferDesc {
        self.inner.desc()
    }

    /// The exporter that made it; `None` for a dma-buf that came from elsewhere.
    pub fn exporter(&self) -> Option<&Arc<dyn Exporter>> {
        self.inner.exporter()
    }

    /// The current memory, for inspection. To pass descriptors on, use [`SharedBuffer::export`].
    pub fn backing(&self) -> Backing {
        self.inner.backing()
    }

    /// The exporter's own object for the current memory, if it is a `T`.
    pub fn origin<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.backing().origin()
    }

    /// Attaches a device that cannot handle a move: the buffer is pinned and mapped until the
    /// attachment and all its mappings are dropped. If the device cannot use the current memory, a
    /// buffer that can move is moved first.
    ///
    /// The kernel's newer importers that pin and are never notified (`dma_buf_attach_ops` without
    /// `invalidate_mappings`) are of this kind, too.
    ///
    /// # Errors
    /// [`AttachError`] by cause; nothing is attached then.
    pub fn attach<I: Importer>(&self, importer: &I) -> Result<StaticAttachment<I>, AttachError> {
        let inner = &self.inner;
        let name: Arc<str> = importer.name().into();
        let constraint = importer.constraint(inner.desc());
        let (core, backing) = self.enter_pinned(&name, Kind::Static, &constraint)?;
        self.prepare(&backing)?;
        StaticAttachment::new(core, importer, inner.desc(), &backing).map_err(|source| {
            AttachError::Import {
                buffer: inner.name().to_owned(),
                source,
            }
        })
    }

    /// Attaches a device that is notified before the buffer moves: it maps when it needs the memory,
    /// adds a fence to every use (submissions do), and pins only what it reads continuously, a scanout.
    /// The callback need only set a flag: see [`Invalidate`]. It may run before this returns.
    ///
    /// ```
    /// # use dmashare::{Importer, SharedBuffer};
    /// # fn attach<I: Importer>(buffer: &SharedBuffer, gpu: &I) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    ///
    /// let moved = Arc::new(AtomicBool::new(false));
    /// let attachment = buffer.attach_dynamic(gpu, moved.clone())?;
    /// let mapping = attachment.map()?;
    /// if moved.swap(false, Ordering::Acquire) {
    ///     // Views and descriptors that were built on the old mapping can no longer be used.
    ///     let mapping = attachment.map()?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`AttachError::Unreachable`]: the buffer cannot be placed where the device reaches it.
    /// - [`AttachError::Revoked`], [`AttachError::Moving`], [`AttachError::WouldDeadlock`].
    pub fn attach_dynamic<I: Importer>(
        &self,
        importer: &I,
        callback: impl Invalidate,
    ) -> Result<DynamicAttachment<I>, AttachError> {
        let inner = &self.inner;
        self.may_attach_now()?;
        let constraint = importer.constraint(inner.desc());
        let unreachable = |reason| AttachError::Unreachable {
            buffer: inner.name().to_owned(),
            importer: importer.name().to_owned(),
            reason,
        };
        match &inner.dynamic {
            None => {
                if let Some(reason) = constraint.objection(&self.backing()) {
                    return Err(unreachable(reason));
                }
            }
            Some(exporter) => {
                let offered = exporter.placements(inner.desc());
                let offered = offered.map_err(|error| unreachable(error.to_string()))?;
                if (offered & constraint.placements).is_empty() {
                    return Err(unreachable(format!(
                        "its exporter has {offered}, and it must be in {}",
                        constraint.placements
                    )));
                }
            }
        }
        let gate = CallbackGate::new(Box::new(callback));
        let core = inner.enter_dynamic(&importer.name().into(), constraint, gate)?;
        Ok(DynamicAttachment::new(core, importer))
    }

    /// Exports the buffer's descriptors to a receiver outside the library. The buffer does not move
    /// while the guard lives; `purpose` names it in reports and refusals. Drop the guard when the
    /// receiver has closed its descriptors.
    ///
    /// The receiver does not see this library's fences, so the export is
    /// [implicit](SyncMode::Implicit): while the guard lives, uses add their fences to the dma-buf, and
    /// wait for those that the receiver adds there. A software fence (of a display that shows the
    /// buffer) cannot be added: [`publish_fences`](Self::publish_fences) reports it. If the receiver
    /// gets its fences in another way ([`Fence::export_sync_file`](crate::Fence::export_sync_file), a
    /// syncobj), or the kernel is too old, use [`export_explicit`](Self::export_explicit).
    ///
    /// # Errors
    /// - [`AttachError::ImplicitSync`]: the fences cannot be added to the dma-buf.
    /// - [`AttachError::Export`]: the process has no descriptor left.
    /// - [`AttachError::Prepare`], [`AttachError::Revoked`], [`AttachError::Moving`],
    ///   [`AttachError::WouldDeadlock`], [`AttachError::Pin`].
    pub fn export(&self, purpose: &str) -> Result<ExportGuard, AttachError> {
        let guard = self.export_explicit(purpose)?;
        match guard.set_sync_mode(SyncMode::Implicit) {
            Ok(()) => Ok(guard),
            Err(source) => Err(AttachError::ImplicitSync {
                buffer: self.inner.name().to_owned(),
                source,
            }),
        }
    }

    /// Like [`export`](Self::export), for a receiver to which the application sends each fence itself:
    /// uses of the buffer neither add fences to the dma-buf nor read them there. Wait for
    /// [`SharedBuffer::ready`] first, or send a sync_file with the buffer.
    ///
    /// # Errors
    /// Those of [`export`](Self::export), except [`AttachError::ImplicitSync`].
    pub fn export_explicit(&self, purpose: &str) -> Result<ExportGuard, AttachError> {
        let anywhere = AccessConstraint::default();
        let (core, backing) = self.enter_pinned(&purpose.into(), Kind::Export, &anywhere)?;
        self.prepare(&backing)?;
        ExportGuard::new(core, backing).map_err(|source| AttachError::Export {
            buffer: self.inner.name().to_owned(),
            source,
        })
    }

    fn prepare(&self, backing: &Backing) -> Result<(), AttachError> {
        let prepared = self.inner.prepare(backing);
        prepared.map_err(|source| AttachError::Prepare {
            buffer: self.inner.name().to_owned(),
            source,
        })
    }

    fn may_attach_now(&self) -> Result<(), AttachError> {
        match self.inner.would_deadlock() {
            Some(buffer) => Err(AttachError::WouldDeadlock { buffer }),
            None => {
                self.inner.advance();
                Ok(())
            }
        }
    }

    fn enter_pinned(
        &self,
        name: &Arc<str>,
        kind: Kind,
        constraint: &AccessConstraint,
    ) -> Result<(Arc<AttachmentCore>, Backing), AttachError> {
        let inner = &self.inner;
        let mut wanted = constraint.clone();
        self.may_attach_now()?;
        for _ in 0..ROUNDS {
            if let Some(entered) = inner.enter_pinned(name, kind, &wanted)? {
                return Ok(entered);
            }
            // If possible, to memory that the other attachments can use as well.
            wanted = inner.with_others(constraint);
            match inner.move_to(&wanted) {
                Ok(_) => {}
                Err(MoveError::Static { .. } | MoveError::NoPlacement { .. }) => {
                    let reason = constraint.objection(&self.backing());
                    return Err(AttachError::Unreachable {
                        buffer: inner.name().to_owned(),
                        importer: name.to_string(),
                        reason: reason.unwrap_or_else(|| format!("it must be {wanted}")),
                    });
                }
                Err(MoveError::Moving { buffer }) => return Err(AttachError::Moving { buffer }),
                Err(source) => {
                    return Err(AttachError::Move {
                        buffer: inner.name().to_owned(),
                        importer: name.to_string(),
                        source: Box::new(source),
                    });
                }
            }
        }
        Err(AttachError::Moving {
            buffer: inner.name().to_owned(),
        })
    }

    /// All attachments, in the order of attaching.
    pub fn attachments(&self) -> Vec<AttachmentReport> {
        self.inner.attachment_reports()
    }

    /// Reports the buffer's state, attachments, pins and fences, for people and for scripts.
    pub fn report(&self) -> BufferReport {
        self.inner.report()
    }

    /// The number of pins: the sum over the buffer's attachments (I1).
    pub fn pins(&self) -> usize {
        self.inner.state().pins.len()
    }

    /// Moves the buffer to memory that fits `wanted`, unless its current memory does. Every dynamic
    /// importer that maps the buffer is notified. The copy waits for all earlier uses, and all later
    /// uses wait for the copy. This call waits for neither: it returns when the copy is submitted, or
    /// earlier if a fence is pending that the exporter's device cannot wait for. In that case
    /// [`Move::is_over`], [`Move::wait`], [`dispatch`](Self::dispatch) and
    /// [`wait_ready`](Self::wait_ready) submit the copy later.
    ///
    /// # Errors
    /// - [`MoveError::Pinned`], which names the pins and their start. Nothing has changed, and no
    ///   importer was notified.
    /// - [`MoveError::Static`], [`MoveError::NoPlacement`], [`MoveError::NoSpace`],
    ///   [`MoveError::Export`]: there is no such memory for the buffer.
    /// - [`MoveError::Copy`]: the copy could not be submitted. The buffer is where it was, with its
    ///   content; its mappings are stale.
    /// - [`MoveError::Moving`], [`MoveError::Revoked`], [`MoveError::WouldDeadlock`].
    pub fn move_to(&self, wanted: &AccessConstraint) -> Result<Move, MoveError> {
        let moved = self.inner.move_to(wanted)?;
        // The application chose this place, so the residency does not move the buffer back.
        self.inner.displaced.store(false, Ordering::Relaxed);
        Ok(moved)
    }

    /// Revokes the memory from all importers: every dynamic importer is notified, pinned or not, and no
    /// importer can map or submit until [`unrevoke`](Self::unrevoke). The content stays. Wait for the
    /// returned [`Revocation`] before the memory is used for anything else.
    ///
    /// # Errors
    /// - [`RevokeError::NotRevocable`]: there are static attachments or exports, which have no callback.
    /// - [`RevokeError::Moving`], [`RevokeError::Revoked`], [`RevokeError::WouldDeadlock`].
    pub fn revoke(&self) -> Result<Revocation, RevokeError> {
        self.inner.revoke()
    }

    /// Allows new mappings after [`revoke`](Self::revoke). Attachments that were pinned at that time, and
    /// did not unpin in their callback, stay revoked: they may have taken the revocation as final, as the
    /// kernel's pinned importers do.
    ///
    /// # Errors
    /// [`RevokeError::NotRevoked`], [`RevokeError::WouldDeadlock`].
    pub fn unrevoke(&self) -> Result<(), RevokeError> {
        self.inner.unrevoke()
    }

    /// Does pending work: submits a copy that had to wait for fences, releases old backings that are no
    /// longer in use, and declares importers dead that keep stale mappings for too long. Returns how
    /// many old backings it has released. Never blocks.
    pub fn dispatch(&self) -> usize {
        self.inner.advance();
        self.inner.collect()
    }

    /// Sets how long importers may keep stale mappings of this buffer before they are declared dead. The
    /// default is five seconds.
    pub fn set_stale_deadline(&self, deadline: Duration) {
        self.inner.set_stale_deadline(deadline);
    }
}

impl fmt::Debug for SharedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBuffer")
            .field("name", &self.desc().name)
            .field("format", &self.desc().format)
            .field("extent", &self.desc().extent)
            .field("inode", &self.backing().dmabuf().id().inode())
            .finish_non_exhaustive()
    }
}
