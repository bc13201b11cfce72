//! A device's connection to a buffer.

pub(crate) mod dynamic;
pub(crate) mod export_guard;
pub(crate) mod mapping;
pub(crate) mod pin;

use std::fmt;
use std::sync::Arc;

use crate::attachment::mapping::Mapping;
use crate::buffer::attachment_core::AttachmentCore;
use crate::buffer::attachment_error::MapError;
use crate::buffer::implicit_sync_error::ImplicitSyncError;
use crate::ids::AttachmentId;
use crate::image::buffer_desc::BufferDesc;
use crate::memory::backing::Backing;
use crate::memory::import_error::ImportError;
use crate::memory::importer::Importer;
use crate::sync_mode::SyncMode;

/// An attachment of a device that is not notified of moves, so its buffer cannot move. The buffer is
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
#[must_use = "the device is detached when its attachment is dropped"]
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

    /// The attachment's identity in [`SharedBuffer::attachments`](crate::SharedBuffer::attachments).
    pub fn id(&self) -> AttachmentId {
        self.core.id()
    }

    /// Returns a clone of the mapping that was made at attach, without any system call.
    ///
    /// # Errors
    /// None: the buffer was mapped at attach and cannot move. The return type is that of
    /// [`DynamicAttachment::map`](crate::DynamicAttachment::map), which can fail.
    pub fn map(&self) -> Result<Mapping<I>, MapError> {
        self.core.buffer().touch();
        Ok(self.mapping.clone())
    }

    /// How uses of the buffer are synchronized with users that the library does not see.
    pub fn sync_mode(&self) -> SyncMode {
        self.core.sync_mode()
    }

    /// Sets the synchronization mode; a new attachment is explicit. [`SyncMode::Implicit`] adds every
    /// pending fence of the buffer's reservation to its dma-buf now, if a sync_file can be made of it;
    /// [`SharedBuffer::publish_fences`](crate::SharedBuffer::publish_fences) reports the rest.
    /// [`SyncMode::Explicit`] leaves the fences that are in the dma-buf until they have signalled.
    ///
    /// # Errors
    /// [`ImplicitSyncError`] by cause; the attachment is explicit then.
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
