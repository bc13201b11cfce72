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

    /// How uses of the buffer are ordered with work that the library does not see.
    pub fn sync_mode(&self) -> SyncMode {
        self.core.sync_mode()
    }

    /// Sets the synchronisation mode; an attachment begins as explicit. With [`SyncMode::Implicit`]
    /// everything that is pending in the buffer's reservation goes into its dma-buf now, as far as
    /// a sync_file can be made of it;
    /// [`SharedBuffer::publish_fences`](crate::SharedBuffer::publish_fences) tells of the rest.
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
