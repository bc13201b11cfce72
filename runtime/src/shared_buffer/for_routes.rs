//! What a route needs to know of a buffer.

use std::sync::Arc;

use crate::buffer::content_watch::UnseenDamage;
use crate::buffer::state::Kind;
use crate::ids::AttachmentId;
use crate::memory::importer::Importer;
use crate::shared_buffer::SharedBuffer;

impl SharedBuffer {
    /// What changes from here on; at first everything has.
    pub(crate) fn watch(&self) -> Arc<UnseenDamage> {
        self.inner.content.watch()
    }

    /// Whether someone outside the library has its descriptors, and may write.
    pub(crate) fn is_exported(&self) -> bool {
        if self.inner.has_foreign_holders() {
            return true;
        }
        // Receivers that were given the descriptors with explicit fences.
        let state = self.inner.state();
        state.entries.iter().any(|entry| entry.kind == Kind::Export)
    }

    /// Lets only this attachment write from now on. A second call does nothing.
    pub(crate) fn restrict_writes(&self, writer: AttachmentId) {
        self.inner.restrict_writes(writer);
    }

    /// What a device objects to in the memory as it is now.
    pub(crate) fn objection_in_place<I: Importer>(&self, importer: &I) -> Option<String> {
        importer.constraint(self.desc()).objection(&self.backing())
    }
}
