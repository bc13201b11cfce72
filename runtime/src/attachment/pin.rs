//! Pins: a buffer that must not move.

use std::fmt;
use std::sync::Arc;

use crate::buffer::attachment_core::AttachmentCore;
use crate::clock::Moment;
use crate::ids::{AttachmentId, PinId};

/// Holds a buffer where it is, through one attachment, until it is dropped. The attachment stays for
/// as long.
///
/// Pins are for memory that a device reads for good and without fences: a scanout. The kernel's
/// documentation of `dma_buf_pin` asks the same. What is only used waits for fences instead.
pub struct PinGuard {
    /// `None`: of a static attachment, which pins by being there.
    pin: Option<PinId>,
    core: Arc<AttachmentCore>,
}

impl PinGuard {
    pub(crate) fn new(core: Arc<AttachmentCore>, pin: Option<PinId>) -> Self {
        Self { pin, core }
    }

    /// The attachment that pins.
    pub fn attachment(&self) -> AttachmentId {
        self.core.id()
    }

    /// Corrects the time that reports and refusals name: a display knows only afterwards when a buffer
    /// came on the screen. Nothing happens if this guard is a static attachment's.
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
