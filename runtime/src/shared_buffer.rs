//! A buffer that several devices use.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::attachment::AttachmentCore;
use crate::reservation::Ticket;
use crate::{
    Access, Allocation, AttachError, AttachmentId, Backing, BufferDesc, DmaBuf, DmaBufError,
    ExportError, ExportGuard, Exporter, Fence, FenceError, FenceSet, FenceUsage, Generation,
    Importer, Modifier, Placement, Reservation, StaticAttachment, SubmitError,
};

/// One attachment, as [`SharedBuffer::attachments`] reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttachmentReport {
    /// Its identity.
    pub id: AttachmentId,
    /// The importer, or the purpose of an export.
    pub name: String,
    /// How many pins it holds.
    pub pins: u32,
}

#[derive(Debug)]
struct State {
    backing: Backing,
    attachments: Vec<AttachmentReport>,
}

#[derive(Debug)]
pub(crate) struct BufferInner {
    desc: BufferDesc,
    exporter: Option<Arc<dyn Exporter>>,
    reservation: Reservation,
    state: Mutex<State>,
}

impl BufferInner {
    pub(crate) fn name(&self) -> &str {
        &self.desc.name
    }

    pub(crate) fn reservation(&self) -> &Reservation {
        &self.reservation
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // A panic in another thread cannot leave the state half changed: every change is one push
        // or one removal.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn generation(&self) -> Generation {
        self.state().backing.generation()
    }

    pub(crate) fn detach(&self, id: AttachmentId) {
        self.state()
            .attachments
            .retain(|attachment| attachment.id != id);
    }
}

/// A named buffer with its memory, its fences, and everyone who is attached to it. Clones are the
/// same buffer; its memory goes when the last clone, attachment, mapping and export guard are gone.
#[derive(Clone)]
pub struct SharedBuffer {
    inner: Arc<BufferInner>,
}

impl SharedBuffer {
    /// Has `exporter` make a buffer with one of `modifiers`, and names it in the kernel's lists.
    ///
    /// # Errors
    /// [`ExportError`] by cause; nothing is left behind.
    pub fn new<E: Exporter + Clone + 'static>(
        exporter: &E,
        desc: BufferDesc,
        modifiers: &[Modifier],
    ) -> Result<Self, ExportError> {
        desc.validate()?;
        if desc.protected {
            return Err(ExportError::ProtectedMemory { name: desc.name });
        }
        let allocation = exporter.allocate(&desc, modifiers)?;
        allocation.dmabuf.set_name(&desc.name)?;
        Ok(Self::from_allocation(
            desc,
            Some(Arc::new(exporter.clone())),
            allocation,
        ))
    }

    /// Wraps a dma-buf that came from elsewhere: another process, a camera, an API without a
    /// backend here. It never moves. Its format and extent must be those of `desc`.
    ///
    /// The dma-buf may carry fences of its own (implicit ones). The library does not look at them by
    /// itself: [`DmaBufMemory::export_sync_file`](crate::DmaBufMemory::export_sync_file) gives them,
    /// and [`SharedBuffer::add_fence`] has later uses wait for them.
    ///
    /// # Errors
    /// [`ExportError::Layout`] if the description is not valid or not that of the dma-buf.
    pub fn from_dmabuf(desc: BufferDesc, dmabuf: DmaBuf) -> Result<Self, ExportError> {
        desc.validate()?;
        if desc.protected {
            return Err(ExportError::ProtectedMemory { name: desc.name });
        }
        if desc.format != dmabuf.format() || desc.extent != dmabuf.extent() {
            return Err(crate::LayoutError::DescMismatch {
                asked: (desc.format, desc.extent),
                given: (dmabuf.format(), dmabuf.extent()),
            }
            .into());
        }
        let allocation = Allocation::new(dmabuf, Placement::Unknown, Arc::new(()));
        Ok(Self::from_allocation(desc, None, allocation))
    }

    fn from_allocation(
        desc: BufferDesc,
        exporter: Option<Arc<dyn Exporter>>,
        mut allocation: Allocation,
    ) -> Self {
        let reservation = Reservation::default();
        if let Some(fence) = allocation.usable_after.take() {
            drop(reservation.add(FenceUsage::Move, fence, None));
        }
        let backing = Backing::new(allocation, Generation::FIRST);
        tracing::debug!(
            buffer = desc.name,
            inode = backing.dmabuf().id().inode(),
            modifier = %backing.dmabuf().layout().modifier(),
            "buffer created"
        );
        Self {
            inner: Arc::new(BufferInner {
                desc,
                exporter,
                reservation,
                state: Mutex::new(State {
                    backing,
                    attachments: Vec::new(),
                }),
            }),
        }
    }

    /// What was asked for.
    pub fn desc(&self) -> &BufferDesc {
        &self.inner.desc
    }

    /// Who made it; `None` for a dma-buf that came from elsewhere.
    pub fn exporter(&self) -> Option<&Arc<dyn Exporter>> {
        self.inner.exporter.as_ref()
    }

    /// The memory as it is now. It is for looking at: descriptors that leave the program go through
    /// [`SharedBuffer::export`].
    pub fn backing(&self) -> Backing {
        self.inner.state().backing.clone()
    }

    /// The exporter's own object for the memory as it is now, if it is a `T`.
    pub fn origin<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.backing().origin()
    }

    /// Attaches a device that cannot cope with the buffer's going away: the buffer is pinned and
    /// mapped until the attachment and all its mappings are dropped.
    ///
    /// # Errors
    /// [`AttachError::Import`] if the importer refuses; the buffer is then as before.
    pub fn attach<I: Importer>(&self, importer: &I) -> Result<StaticAttachment<I>, AttachError> {
        let core = self.attach_core(importer.name());
        StaticAttachment::new(core, importer, &self.inner.desc, &self.backing()).map_err(|source| {
            AttachError::Import {
                buffer: self.inner.desc.name.clone(),
                source,
            }
        })
    }

    /// Gives the buffer's descriptors to someone outside the library. The buffer does not move while
    /// the guard lives; `purpose` names it in [`SharedBuffer::attachments`]. Drop the guard when the
    /// other side has closed its descriptors.
    ///
    /// The other side does not know this library's fences: wait for [`SharedBuffer::ready`] first,
    /// or send a sync_file along ([`Fence::export_sync_file`](crate::Fence::export_sync_file)).
    ///
    /// # Errors
    /// [`DmaBufError::Os`] when the process has no descriptor left.
    pub fn export(&self, purpose: &str) -> Result<ExportGuard, DmaBufError> {
        ExportGuard::new(self.attach_core(purpose), self.backing())
    }

    fn attach_core(&self, name: &str) -> Arc<AttachmentCore> {
        let id = AttachmentId::unique();
        self.inner.state().attachments.push(AttachmentReport {
            id,
            name: name.to_owned(),
            pins: 1,
        });
        tracing::debug!(buffer = self.inner.desc.name, importer = name, "attached");
        Arc::new(AttachmentCore::new(self.inner.clone(), id))
    }

    /// Everyone who is attached now, in the order of attaching.
    pub fn attachments(&self) -> Vec<AttachmentReport> {
        self.inner.state().attachments.clone()
    }

    /// The fences of the buffer.
    pub fn reservation(&self) -> &Reservation {
        &self.inner.reservation
    }

    /// The fences that an access of this kind has to wait for. The buffer is ready when the set is
    /// over.
    pub fn ready(&self, access: Access) -> FenceSet {
        self.inner.reservation.waited_by(access)
    }

    /// Adds a fence of someone outside the library, as that of a reader or a writer: a client's
    /// acquire fence, or what [`DmaBufMemory::export_sync_file`](crate::DmaBufMemory::export_sync_file)
    /// says of a dma-buf's own fences. Later uses wait for it.
    ///
    /// # Errors
    /// [`SubmitError::WouldDeadlock`] if this thread has a submission on the buffer.
    pub fn add_fence(&self, access: Access, fence: Fence) -> Result<(), SubmitError> {
        let reservation = &self.inner.reservation;
        reservation
            .lock_slow(Ticket::next())
            .map_err(|_| SubmitError::WouldDeadlock {
                buffer: self.inner.desc.name.clone(),
            })?;
        let removed = reservation.add(access.into(), fence, None);
        reservation.unlock();
        drop(removed);
        Ok(())
    }

    /// Waits on the CPU until an access of this kind may begin, for `timeout` at most. Not to be
    /// called while this thread has a submission on the buffer.
    ///
    /// # Errors
    /// As [`FenceSet::wait`].
    pub fn wait_ready(&self, access: Access, timeout: Duration) -> Result<(), FenceError> {
        self.ready(access).wait(timeout)
    }
}

impl fmt::Debug for SharedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBuffer")
            .field("name", &self.inner.desc.name)
            .field("format", &self.inner.desc.format)
            .field("extent", &self.inner.desc.extent)
            .field("inode", &self.backing().dmabuf().id().inode())
            .finish_non_exhaustive()
    }
}
