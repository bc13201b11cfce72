//! The part that all kinds of attachments share.

use std::sync::Arc;

use crate::buffer::BufferInner;
use crate::buffer::implicit_sync_error::ImplicitSyncError;
use crate::buffer::state::Marks;
use crate::ids::AttachmentId;
use crate::locks::{Mutex, lock};
use crate::sync_mode::SyncMode;

/// An attachment's claim on its entry in the buffer's list. The entry and its pins are removed when
/// the last holder drops this. Mappings and pins hold it too, so a device stays attached for as long
/// as it can touch the memory.
#[derive(Debug)]
pub(crate) struct AttachmentCore {
    buffer: Arc<BufferInner>,
    id: AttachmentId,
    marks: Arc<Marks>,
    /// Held while the sync mode and the buffer's count of foreign holders change together.
    changing: Mutex<()>,
    /// Whether the attachment is notified before the buffer moves, and may pin.
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

    /// The marks that the attachment shares with its entry in the buffer's list.
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
        self.marks.set_sync_mode(mode);
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
