//! Pins: who holds a memory in place, what for and since when.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::clock::Moment;
use crate::ids::{AttachmentId, PinId};

/// One pin, for reports and errors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PinReport {
    /// The attachment that holds the pin.
    pub attachment: AttachmentId,
    /// What the pin is for, such as "scanout Virtual-1", or the name of the importer.
    pub label: Arc<str>,
    /// When it was taken.
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

/// Displays a list of pins, for errors.
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

/// A pin in a buffer's list.
pub(crate) struct PinRecord {
    pub(crate) id: PinId,
    pub(crate) report: PinReport,
}
