//! The two images that a display shows in turns.

use std::cell::Cell;

use crate::floor::Exported;

/// Two images, of which a display shows one, and whoever flips shows the other.
///
/// Everyone who flips in turns has the same two, and shows the one that is not on screen: a driver that
/// keeps what is on screen mapped would have nothing to do for one that is.
#[derive(Debug)]
pub struct Screen {
    images: [Exported; 2],
    shown: Cell<usize>,
}

impl Screen {
    /// A screen that shows the first image.
    pub fn new(images: [Exported; 2]) -> Self {
        Self {
            images,
            shown: Cell::new(0),
        }
    }

    /// The images.
    pub fn images(&self) -> &[Exported; 2] {
        &self.images
    }

    /// The first image is shown: the mode was set with it.
    pub fn start(&self) {
        self.shown.set(0);
    }

    /// Which image is shown next.
    pub fn flip(&self) -> usize {
        let next = 1 - self.shown.get();
        self.shown.set(next);
        next
    }
}
