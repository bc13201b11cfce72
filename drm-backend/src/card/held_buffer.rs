//! References that the display holds to a buffer that it shows or captures into.

use dmashare::{Mapping, Moment, PinGuard};

use crate::card::Card;
use crate::kms::output::OutputId;

/// A buffer that the display reads or writes. This keeps its framebuffer alive and its memory pinned.
///
/// It must not be dropped while the card's state is locked: the drop closes the framebuffer, may drop
/// the last handle of the card, and releasing the pin may wait for a callback of the application.
#[derive(Debug)]
pub(crate) struct Held {
    // Dropped before `pin`: the framebuffer must be closed before the buffer can move.
    pub(crate) mapping: Mapping<Card>,
    pub(crate) output: OutputId,
    pin: PinGuard,
}

impl Held {
    pub(crate) fn new(mapping: &Mapping<Card>, output: OutputId, pin: PinGuard) -> Self {
        Self {
            mapping: mapping.clone(),
            output,
            pin,
        }
    }

    /// Records when the buffer appeared on the screen.
    pub(crate) fn appeared(&self, at: Moment) {
        self.pin.set_since(at);
    }

    /// Whether this is the same framebuffer on the same output.
    pub(crate) fn is(&self, mapping: &Mapping<Card>, output: OutputId) -> bool {
        self.output == output && self.mapping.is_same(mapping)
    }
}
