//! The part of a buffer's interface that routes use.

use std::sync::Arc;

use crate::buffer::content_watch::UnseenDamage;
use crate::buffer::state::Kind;
use crate::ids::AttachmentId;
use crate::memory::importer::Importer;
use crate::shared_buffer::SharedBuffer;

impl SharedBuffer {
    /// Collects the damage of all writes from here on, starting with the whole buffer.
    pub(crate) fn watch(&self) -> Arc<UnseenDamage> {
        self.inner.content.watch()
    }

    /// Whether a holder outside the library has the buffer's descriptors, and may write.
    pub(crate) fn is_exported(&self) -> bool {
        if self.inner.has_foreign_holders() {
            return true;
        }
        // Exports with explicit fences.
        let state = self.inner.state();
        state.entries.iter().any(|entry| entry.kind == Kind::Export)
    }

    /// Lets only this attachment write from now on. A second call does nothing.
    pub(crate) fn restrict_writes(&self, writer: AttachmentId) {
        self.inner.restrict_writes(writer);
    }

    /// Why a device cannot use the current memory, if it cannot.
    pub(crate) fn objection_in_place<I: Importer>(&self, importer: &I) -> Option<String> {
        importer.constraint(self.desc()).objection(&self.backing())
    }
}
