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

/// How often an attachment starts again because the buffer moved meanwhile.
const ROUNDS: usize = 16;

/// A named buffer with its memory, its fences, and everyone who is attached to it. Clones are the
/// same buffer; its memory goes when the last clone, attachment, mapping and export guard are gone.
#[derive(Clone)]
pub struct SharedBuffer {
    inner: Arc<BufferInner>,
}

impl SharedBuffer {
    pub(crate) fn inner(&self) -> &Arc<BufferInner> {
        &self.inner
    }

    /// What was asked for.
    pub fn desc(&self) -> &BufferDesc {
        self.inner.desc()
    }

    /// The exporter that made it; `None` for a dma-buf that came from elsewhere.
    pub fn exporter(&self) -> Option<&Arc<dyn Exporter>> {
        self.inner.exporter()
    }

    /// The memory as it is now. It is for looking at: descriptors that leave the program go through
    /// [`SharedBuffer::export`].
    pub fn backing(&self) -> Backing {
        self.inner.backing()
    }

    /// The exporter's own object for the memory as it is now, if it is a `T`.
    pub fn origin<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.backing().origin()
    }

    /// Attaches a device that cannot cope with the buffer's going away: the buffer is pinned and
    /// mapped until the attachment and all its mappings are dropped. If the device cannot use the
    /// memory where it is, a buffer that can move is moved first.
    ///
    /// The kernel's newer importers that pin and are never told (`dma_buf_attach_ops` without
    /// `invalidate_mappings`) are this kind, too.
    ///
    /// # Errors
    /// [`AttachError`] by cause; the buffer is then as before.
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

    /// Attaches a device that is told before the buffer moves: it maps when it needs the memory, adds
    /// a fence to every use (submissions do), and pins only what it reads for good, a scanout.
    /// Setting a flag is all that the callback has to do: see [`Invalidate`]. It may be called
    /// before this returns.
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
    ///     // What was built on the old mapping (views, descriptors) is of no use any more.
    ///     let mapping = attachment.map()?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`AttachError::Unreachable`]: the buffer can be nowhere where the device reaches it.
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

    /// Gives the buffer's descriptors to someone outside the library. The buffer does not move while
    /// the guard lives; `purpose` names it in reports and refusals. Drop the guard when the other
    /// side has closed its descriptors.
    ///
    /// The other side does not know this library's fences, so while the guard lives they go into the
    /// dma-buf, and those that the other side puts there are waited for: the export is
    /// [implicit](SyncMode::Implicit). Fences of software (a display that shows the buffer) cannot go
    /// there: [`publish_fences`](Self::publish_fences) tells. Where the other side gets its fences by
    /// another way ([`Fence::export_sync_file`](crate::Fence::export_sync_file), a syncobj), or the
    /// kernel is too old, use [`export_explicit`](Self::export_explicit).
    ///
    /// # Errors
    /// [`AttachError::ImplicitSync`] when the fences cannot go into the dma-buf;
    /// [`AttachError::Export`] when the process has no descriptor left; [`AttachError::Prepare`],
    /// [`AttachError::Revoked`], [`AttachError::Moving`], [`AttachError::WouldDeadlock`],
    /// [`AttachError::Pin`].
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

    /// Like `export`, for a receiver to which the application sends each fence itself: uses of the
    /// buffer put nothing into the dma-buf and look at nothing there. Wait for
    /// [`SharedBuffer::ready`] first, or send a sync_file along.
    ///
    /// # Errors
    /// As [`export`](Self::export), without the first.
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
            // Not to where the others could not follow, if that can be helped.
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

    /// Everyone who is attached now, in the order of attaching.
    pub fn attachments(&self) -> Vec<AttachmentReport> {
        self.inner.attachment_reports()
    }

    /// Everything that is known of the buffer, for people and for scripts.
    pub fn report(&self) -> BufferReport {
        self.inner.report()
    }

    /// How many pins hold it where it is: the sum over its attachments (I1).
    pub fn pins(&self) -> usize {
        self.inner.state().pins.len()
    }

    /// Moves the buffer to memory that fits `wanted`; a buffer that is in such memory stays. Every
    /// dynamic importer that maps it is told, everyone's later uses wait for the copy, and the copy
    /// waits for everyone's earlier uses. This waits for neither: it returns when the copy is
    /// submitted, or, where a fence is pending that the exporter's device cannot wait for, before
    /// that: [`Move::is_over`], [`dispatch`](Self::dispatch) and [`wait_ready`](Self::wait_ready)
    /// submit it then.
    ///
    /// # Errors
    /// - [`MoveError::Pinned`], with who holds it and since when. Nothing has changed, and no
    ///   importer was told.
    /// - [`MoveError::Static`], [`MoveError::NoPlacement`], [`MoveError::NoSpace`],
    ///   [`MoveError::Export`]: it cannot be there.
    /// - [`MoveError::Copy`]: the copy could not be submitted. The buffer is where it was, with its
    ///   content; its mappings are stale.
    /// - [`MoveError::Moving`], [`MoveError::Revoked`], [`MoveError::WouldDeadlock`].
    pub fn move_to(&self, wanted: &AccessConstraint) -> Result<Move, MoveError> {
        let moved = self.inner.move_to(wanted)?;
        // The application has its reasons; residency does not bring it back.
        self.inner.displaced.store(false, Ordering::Relaxed);
        Ok(moved)
    }

    /// Takes the memory away from everyone: every dynamic importer is told, pinned or not, and no one
    /// can map or submit until [`unrevoke`](Self::unrevoke). The content stays. Wait on what this
    /// returns before the memory is used for anything else.
    ///
    /// # Errors
    /// - [`RevokeError::NotRevocable`]: static attachments and exports are not told.
    /// - [`RevokeError::Moving`], [`RevokeError::Revoked`], [`RevokeError::WouldDeadlock`].
    pub fn revoke(&self) -> Result<Revocation, RevokeError> {
        self.inner.revoke()
    }

    /// Allows new mappings after [`revoke`](Self::revoke). Attachments that were pinned then, and did
    /// not unpin in their callback, stay revoked: they may have taken it as final, as the kernel's
    /// pinned importers do.
    ///
    /// # Errors
    /// [`RevokeError::NotRevoked`], [`RevokeError::WouldDeadlock`].
    pub fn unrevoke(&self) -> Result<(), RevokeError> {
        self.inner.unrevoke()
    }

    /// Does what is due: submits a copy that had to wait for fences, gives back old memory that is
    /// no longer in use, and takes importers for dead that keep stale mappings for too long.
    /// Returns how many old backings were let go. Never blocks.
    pub fn dispatch(&self) -> usize {
        self.inner.advance();
        self.inner.collect()
    }

    /// How long importers may keep stale mappings of this buffer before they are taken for dead; five
    /// seconds at first.
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
