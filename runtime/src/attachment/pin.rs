//! Pins: a buffer that must not move.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::attachment::{AttachmentCore, AttachmentId};
use crate::clock::Moment;
use crate::unique_number::unique_number;

/// Identity of a pin, unique in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PinId(u64);

impl PinId {
    pub(crate) fn unique() -> Self {
        Self(unique_number())
    }
}

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

/// One pin, as reports and refusals name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PinReport {
    /// The attachment that pins.
    pub attachment: AttachmentId,
    /// What for: "scanout Virtual-1", or who is attached.
    pub label: Arc<str>,
    /// Since when.
    pub since: Moment,
}

impl PinReport {
    pub(crate) fn new(attachment: AttachmentId, label: Arc<str>, since: Moment) -> Self {
        Self {
            attachment,
            label,
            since,
        }
    }
}

impl fmt::Display for PinReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' since {}", self.label, self.since)
    }
}

/// Pins in a row, for errors.
pub(crate) struct Pins<'a>(pub(crate) &'a [PinReport]);

impl fmt::Display for Pins<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pin) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{pin}")?;
        }
        Ok(())
    }
}
