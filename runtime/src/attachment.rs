//! A device's connection to a buffer.

pub(crate) mod dynamic;
pub(crate) mod export_guard;
pub(crate) mod mapping;
pub(crate) mod pin;

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use crate::attachment::mapping::Mapping;
use crate::buffer::BufferInner;
use crate::buffer::attachment_error::MapError;
use crate::buffer::implicit_sync_error::ImplicitSyncError;
use crate::image::buffer_desc::BufferDesc;
use crate::locks::{Mutex, lock};
use crate::memory::backing::Backing;
use crate::memory::import_error::ImportError;
use crate::memory::importer::Importer;
use crate::sync_mode::SyncMode;
use crate::unique_number::unique_number;

/// Identity of an attachment, unique in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct AttachmentId(NonZeroU64);

impl AttachmentId {
    pub(crate) fn unique() -> Self {
        // It is never 0.
        Self(NonZeroU64::new(unique_number()).unwrap_or(NonZeroU64::MAX))
    }
}

/// What an attachment and its entry in the buffer's list both know.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// The importer did not let go of a stale mapping in time, or panicked.
    dead: AtomicBool,
    /// It is a foreign holder of the buffer: see [`SyncMode::Implicit`].
    implicit: AtomicBool,
}

impl Marks {
    pub(crate) fn declare_dead(&self) {
        self.dead.store(true, Ordering::Release);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    pub(crate) fn sync_mode(&self) -> SyncMode {
        match self.implicit.load(Ordering::Acquire) {
            true => SyncMode::Implicit,
            false => SyncMode::Explicit,
        }
    }
}

/// What every kind of attachment is to its buffer: an entry in its list, which goes (and with it
/// its pins) when the last holder drops this. Mappings and pins hold it too, so a device stays
/// attached for as long as it can touch the memory.
#[derive(Debug)]
pub(crate) struct AttachmentCore {
    buffer: Arc<BufferInner>,
    id: AttachmentId,
    marks: Arc<Marks>,
    /// Held while that changes, together with the buffer's count.
    changing: Mutex<()>,
    /// Of a dynamic attachment: it is told before the buffer moves, and may pin.
    dynamic: bool,
}

impl AttachmentCore {
    pub(crate) fn new(buffer: Arc<BufferInner>, id: AttachmentId, dynamic: bool) -> Self {
        Self {
            buffer,
            id,
            marks: Arc::default(),
            changing: Mutex::new(()),
            dynamic,
        }
    }

    pub(crate) fn buffer(&self) -> &Arc<BufferInner> {
        &self.buffer
    }

    pub(crate) fn id(&self) -> AttachmentId {
        self.id
    }

    pub(crate) fn is_dynamic(&self) -> bool {
        self.dynamic
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.marks.is_dead()
    }

    /// What the buffer's list shares with it.
    pub(crate) fn marks(&self) -> Arc<Marks> {
        self.marks.clone()
    }

    pub(crate) fn sync_mode(&self) -> SyncMode {
        self.marks.sync_mode()
    }

    pub(crate) fn set_sync_mode(&self, mode: SyncMode) -> Result<(), ImplicitSyncError> {
        let _changing = lock(&self.changing);
        match (self.sync_mode(), mode) {
            (SyncMode::Explicit, SyncMode::Implicit) => self.buffer.add_foreign_holder()?,
            (SyncMode::Implicit, SyncMode::Explicit) => self.buffer.remove_foreign_holder(),
            _ => {}
        }
        self.marks
            .implicit
            .store(mode == SyncMode::Implicit, Ordering::Release);
        Ok(())
    }
}

impl Drop for AttachmentCore {
    fn drop(&mut self) {
        if self.sync_mode() == SyncMode::Implicit {
            self.buffer.remove_foreign_holder();
        }
        self.buffer.detach(self.id);
    }
}

/// An attachment of a device that is not told when the buffer moves: so the buffer does not. It is
/// pinned and mapped from [`SharedBuffer::attach`](crate::SharedBuffer::attach) until the attachment
/// and every clone of its mapping are dropped.
///
/// It has no `pin`: in the kernel, pinning through an attachment without an invalidate callback is a
/// bug; here it does not compile.
///
/// ```compile_fail
/// # fn pins<I: dmashare::Importer>(attachment: &dmashare::StaticAttachment<I>) {
/// let guard = attachment.pin("scanout");
/// # }
/// ```
pub struct StaticAttachment<I: Importer> {
    core: Arc<AttachmentCore>,
    mapping: Mapping<I>,
}

impl<I: Importer> StaticAttachment<I> {
    pub(crate) fn new(
        core: Arc<AttachmentCore>,
        importer: &I,
        desc: &BufferDesc,
        backing: &Backing,
    ) -> Result<Self, ImportError> {
        let object = importer.import(desc, backing)?;
        let mapping = Mapping::new(core.clone(), importer.clone(), backing.clone(), object);
        Ok(Self { core, mapping })
    }

    /// Its identity, as in [`SharedBuffer::attachments`](crate::SharedBuffer::attachments).
    pub fn id(&self) -> AttachmentId {
        self.core.id()
    }

    /// The mapping that was made at attach: a clone of it, without any system call.
    ///
    /// # Errors
    /// None for a static attachment: the buffer was mapped at attach and cannot move. The result
    /// has an error because an attachment that lets the buffer move has one.
    pub fn map(&self) -> Result<Mapping<I>, MapError> {
        self.core.buffer().touch();
        Ok(self.mapping.clone())
    }

    /// How its uses, and those of everyone else, are ordered with what the library does not see.
    pub fn sync_mode(&self) -> SyncMode {
        self.core.sync_mode()
    }

    /// Sets that; an attachment begins as explicit. With [`SyncMode::Implicit`] everything that is
    /// pending in the buffer's reservation goes into its dma-buf now, as far as a sync_file can be made
    /// of it; [`SharedBuffer::publish_fences`](crate::SharedBuffer::publish_fences) tells of the rest.
    /// Back to explicit, what is in the dma-buf stays there until it has signalled.
    ///
    /// # Errors
    /// [`ImplicitSyncError`] by cause; it is explicit then.
    pub fn set_sync_mode(&self, mode: SyncMode) -> Result<(), ImplicitSyncError> {
        self.core.set_sync_mode(mode)
    }
}

impl<I: Importer> fmt::Debug for StaticAttachment<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticAttachment")
            .field("buffer", &self.core.buffer().name())
            .field("id", &self.core.id())
            .finish_non_exhaustive()
    }
}
