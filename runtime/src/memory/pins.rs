//! The pins of a memory: who holds it in place, what for and since when.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::clock::Moment;
use crate::ids::{AttachmentId, PinId};

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

/// One pin in a buffer's list.
pub(crate) struct PinRecord {
    pub(crate) id: PinId,
    pub(crate) report: PinReport,
}
