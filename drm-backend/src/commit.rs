//! What an application asks a card to show.

use dmashare::{Fence, Mapping};
use smallvec::SmallVec;

use crate::{Card, Mode, Output, Plane};

/// A rectangle in whole pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rectangle {
    /// Pixels from the left; on a screen it may be negative.
    pub x: i32,
    /// Pixels from the top; on a screen it may be negative.
    pub y: i32,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

impl Rectangle {
    /// A rectangle with its left upper corner at (`x`, `y`).
    pub const fn new(x: i32, y: i32, width: u32, height: u32) -> Self {
        Self {
            x,
            y,
            width,
            height,
        }
    }
}

/// A buffer on a plane.
#[derive(Clone, Debug)]
pub struct PlaneCommit {
    /// `None`: the output's primary plane.
    pub(crate) plane: Option<Plane>,
    pub(crate) mapping: Mapping<Card>,
    pub(crate) fence: Option<Fence>,
    pub(crate) source: Option<Rectangle>,
    pub(crate) destination: Option<Rectangle>,
}

impl PlaneCommit {
    /// Shows a buffer on the output's primary plane, unscaled from the left upper corner, cut off
    /// where it is larger than the screen.
    pub fn primary(mapping: &Mapping<Card>) -> Self {
        Self {
            plane: None,
            mapping: mapping.clone(),
            fence: None,
            source: None,
            destination: None,
        }
    }

    /// Shows a buffer on a plane of the caller's choice.
    pub fn on(plane: &Plane, mapping: &Mapping<Card>) -> Self {
        Self {
            plane: Some(plane.clone()),
            ..Self::primary(mapping)
        }
    }

    /// The display waits for this fence before it shows the buffer (`IN_FENCE_FD`), besides those
    /// that the buffer's reservation holds.
    #[must_use]
    pub fn fence(mut self, fence: &Fence) -> Self {
        self.fence = Some(fence.clone());
        self
    }

    /// The part of the buffer to be shown.
    #[must_use]
    pub fn source(mut self, source: Rectangle) -> Self {
        self.source = Some(source);
        self
    }

    /// Where on the screen; another size than the source's asks for scaling.
    #[must_use]
    pub fn destination(mut self, destination: Rectangle) -> Self {
        self.destination = Some(destination);
        self
    }
}

/// Everything that one output shows: planes of it that are not listed are switched off.
#[derive(Clone, Debug)]
pub struct OutputCommit {
    pub(crate) output: Output,
    pub(crate) active: bool,
    pub(crate) mode: Option<Mode>,
    pub(crate) planes: SmallVec<[PlaneCommit; 4]>,
    pub(crate) writeback: Option<Mapping<Card>>,
}

impl OutputCommit {
    /// An output that is on and shows nothing yet. It keeps the mode that it has; if it has none it
    /// gets its preferred one.
    pub fn new(output: &Output) -> Self {
        Self {
            output: output.clone(),
            active: true,
            mode: None,
            planes: SmallVec::new(),
            writeback: None,
        }
    }

    /// An output that is off. Its flip event tells that nothing of it is read any more; if it was
    /// off already there is none.
    pub fn off(output: &Output) -> Self {
        Self {
            active: false,
            ..Self::new(output)
        }
    }

    /// Sets a mode.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Adds a plane.
    #[must_use]
    pub fn plane(mut self, plane: PlaneCommit) -> Self {
        self.planes.push(plane);
        self
    }

    /// Captures what this commit shows into a buffer (`WRITEBACK_FB_ID`), which must be as large as
    /// the mode. The buffer carries a write fence until the capture is over; then
    /// [`Event::Written`](crate::Event::Written) comes.
    ///
    /// The first capture of an output connects its writeback connector, which is a change of mode
    /// for the kernel; the connector stays connected until the mode changes or the output is
    /// switched off.
    #[must_use]
    pub fn writeback(mut self, target: &Mapping<Card>) -> Self {
        self.writeback = Some(target.clone());
        self
    }
}

/// What [`Card::commit`] makes visible at once: any number of outputs of one card. Outputs that are
/// not named stay as they are.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    pub(crate) outputs: SmallVec<[OutputCommit; 2]>,
}

impl Commit {
    /// A commit that changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an output.
    #[must_use]
    pub fn output(mut self, output: OutputCommit) -> Self {
        self.outputs.push(output);
        self
    }

    /// The planes of the outputs that are on, in order.
    pub(crate) fn planes(&self) -> impl Iterator<Item = &PlaneCommit> {
        let on = self.outputs.iter().filter(|output| output.active);
        on.flat_map(|output| &output.planes)
    }
}
