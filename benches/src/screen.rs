//! The images that a display shows in turns.

use std::cell::Cell;

use crate::floor::Exported;

/// Three images, of which a display shows one: the same for everyone who flips in turns, because how
/// long a driver takes to map memory differs from one buffer to the next.
#[derive(Debug)]
pub struct Screen {
    images: [Exported; 3],
    shown: Cell<usize>,
}

impl Screen {
    /// A screen that shows the first image.
    pub fn new(images: [Exported; 3]) -> Self {
        Self {
            images,
            shown: Cell::new(0),
        }
    }

    /// The images.
    pub fn images(&self) -> &[Exported; 3] {
        &self.images
    }

    /// The first image is shown: the mode was set with it.
    pub fn start(&self) {
        self.shown.set(0);
    }

    /// Which image is shown next by someone who has shown `own` last. It is neither that one nor the one
    /// that is on screen: drivers map an image when it comes onto the screen, which takes longer than all
    /// the rest, so whoever showed another side's last image again would get that for nothing.
    pub fn flip(&self, own: usize) -> usize {
        let count = self.images.len();
        let after = (self.shown.get() + 1) % count;
        let next = if after == own {
            (after + 1) % count
        } else {
            after
        };
        self.shown.set(next);
        next
    }
}
