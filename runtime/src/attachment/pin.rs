//! Pins keep a buffer from moving.

use std::fmt;
use std::sync::Arc;

use crate::buffer::attachment_core::AttachmentCore;
use crate::clock::Moment;
use crate::ids::{AttachmentId, PinId};

/// Keeps a buffer from moving, through one attachment, until it is dropped. It keeps the attachment,
/// too.
///
/// Pins are for memory that a device reads continuously and without fences: a scanout. The kernel's
/// documentation of `dma_buf_pin` asks the same. Other uses have fences, which a move waits for.
#[must_use = "the pin ends when its guard is dropped"]
pub struct PinGuard {
    /// `None` for a static attachment, which pins the buffer itself.
    pin: Option<PinId>,
    core: Arc<AttachmentCore>,
}

impl PinGuard {
    pub(crate) fn new(core: Arc<AttachmentCore>, pin: Option<PinId>) -> Self {
        Self { pin, core }
    }

    /// The attachment that holds the pin.
    pub fn attachment(&self) -> AttachmentId {
        self.core.id()
    }

    /// Corrects the time that reports and refusals give: a display learns only afterwards when a
    /// buffer reached the screen. Has no effect with a static attachment.
    pub fn set_since(&self, since: Moment) {
        if let Some(pin) = self.pin {
            self.core.buffer().set_pinned_since(pin, since);
        }
    }
}

impl Drop for PinGuard {
    fn drop(&mut self) {
        if let Some(pin) = self.pin {
            self.core.buffer().unpin(pin);
        }
    }
}

impl fmt::Debug for PinGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinGuard")
            .field("buffer", &self.core.buffer().name())
            .field("attachment", &self.core.id())
            .finish_non_exhaustive()
    }
}
