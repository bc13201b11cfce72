//! What the display holds of a buffer that it shows or captures into.

use dmashare::{Mapping, Moment, PinGuard};

use crate::card::Card;
use crate::kms::output::OutputId;

/// A buffer that the display reads or writes: its framebuffer exists, and its memory stays where it
/// is. Not to be dropped while the card's state is locked: the framebuffer is closed, this may be the
/// last handle of the card, and letting go of a pin may wait for a callback of the application.
#[derive(Debug)]
pub(crate) struct Held {
    // The framebuffer goes before the buffer may move.
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

    /// Notes since when the buffer is on the screen.
    pub(crate) fn appeared(&self, at: Moment) {
        self.pin.set_since(at);
    }

    /// Whether this is the same framebuffer on the same output.
    pub(crate) fn is(&self, mapping: &Mapping<Card>, output: OutputId) -> bool {
        self.output == output && self.mapping.is_same(mapping)
    }
}
