//! Pinning and unpinning a buffer, with its state locked for a moment and without its reservation.

use std::sync::Arc;

use crate::buffer::BufferInner;
use crate::buffer::attachment_core::AttachmentCore;
use crate::buffer::attachment_error::PinError;
use crate::buffer::state::{State, Status};
use crate::clock::Moment;
use crate::ids::{AttachmentId, PinId};
use crate::memory::backing::Generation;
use crate::memory::export_error::ExportError;
use crate::memory::pins::{PinRecord, PinReport};

impl BufferInner {
    pub(crate) fn first_pin(&self, state: &State) -> Result<(), ExportError> {
        match &self.dynamic {
            Some(exporter) if state.pins.is_empty() => exporter.pin(&state.backing),
            _ => Ok(()),
        }
    }

    /// Pins through an attachment, if the current memory suits it. Takes no reservation, and allocates
    /// nothing in the steady state of a display.
    pub(crate) fn pin(
        &self,
        core: &AttachmentCore,
        label: Arc<str>,
        since: Moment,
        of: Option<Generation>,
    ) -> Result<PinId, PinError> {
        let mut state = self.state();
        let buffer = || self.name().to_owned();
        match &state.status {
            Status::Resident => {}
            Status::Moving(_) => return Err(PinError::Moving { buffer: buffer() }),
            Status::Revoked => return Err(PinError::Revoked { buffer: buffer() }),
        }
        let backing = state.backing.clone();
        let Some(entry) = state.entry(core.id()).filter(|entry| !entry.leaving) else {
            return Err(PinError::Detached { buffer: buffer() });
        };
        if entry.revoked {
            return Err(PinError::Revoked { buffer: buffer() });
        }
        if core.is_dead() {
            return Err(PinError::Dead {
                buffer: buffer(),
                importer: entry.name.to_string(),
            });
        }
        if of.is_some_and(|generation| generation != backing.generation()) {
            return Err(PinError::Stale { buffer: buffer() });
        }
        if let Some(reason) = entry.constraint.objection(&backing) {
            return Err(PinError::Unreachable {
                buffer: buffer(),
                importer: entry.name.to_string(),
                reason,
            });
        }
        self.first_pin(&state)
            .map_err(|source| PinError::Exporter {
                buffer: buffer(),
                source,
            })?;
        let id = PinId::unique();
        state.pins.push(PinRecord {
            id,
            report: PinReport::new(core.id(), label.clone(), since),
        });
        drop(state);
        tracing::trace!(buffer = self.name(), label = &*label, "pinned");
        Ok(id)
    }

    pub(crate) fn remove_pins(
        &self,
        state: &mut State,
        which: impl Fn(&PinRecord) -> bool,
    ) -> usize {
        let before = state.pins.len();
        state.pins.retain(|pin| !which(pin));
        let removed = before - state.pins.len();
        if removed > 0
            && state.pins.is_empty()
            && let Some(exporter) = &self.dynamic
        {
            exporter.unpin(&state.backing);
        }
        removed
    }

    pub(crate) fn unpin(&self, id: PinId) {
        let removed = self.remove_pins(&mut self.state(), |pin| pin.id == id);
        if removed > 0 {
            tracing::trace!(buffer = self.name(), "unpinned");
            self.unpinned();
        }
    }

    pub(crate) fn set_pinned_since(&self, id: PinId, since: Moment) {
        let mut state = self.state();
        if let Some(pin) = state.pins.iter_mut().find(|pin| pin.id == id) {
            pin.report.since = since;
        }
    }

    pub(crate) fn unpin_all(&self, attachment: AttachmentId) -> usize {
        let removed =
            self.remove_pins(&mut self.state(), |pin| pin.report.attachment == attachment);
        self.unpinned();
        removed
    }

    /// Notifies the residency, which had taken the buffer off its list because of its pins.
    pub(crate) fn unpinned(&self) {
        if let Some(keeper) = self.keeper() {
            keeper.unpinned();
        }
    }
}
