//! What an application asks a card to show.

pub(crate) mod attempt;
pub(crate) mod build_request;
pub(crate) mod damage_blob;
pub(crate) mod explain_refusal;
pub(crate) mod in_fences;
pub(crate) mod pins;
pub(crate) mod plan;
pub(crate) mod plane_request;
pub(crate) mod record_accepted;
pub(crate) mod submit;

use dmashare::{AlphaMode, Fence, Mapping, Rectangle};
use smallvec::SmallVec;

use crate::card::Card;
use crate::kms::appearance::Appearance;
use crate::kms::mode::Mode;
use crate::kms::output::Output;
use crate::kms::plane::Plane;
use crate::kms::rotation::Rotation;

/// A buffer on a plane.
#[derive(Clone, Debug)]
pub struct PlaneCommit {
    /// `None`: the output's primary plane.
    pub(crate) plane: Option<Plane>,
    pub(crate) mapping: Mapping<Card>,
    pub(crate) fence: Option<Fence>,
    pub(crate) source: Option<Rectangle>,
    pub(crate) destination: Option<Rectangle>,
    pub(crate) appearance: Appearance,
    /// One needs no memory of its own; more would make every commit larger.
    pub(crate) damage: SmallVec<[Rectangle; 1]>,
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
            appearance: Appearance::default(),
            damage: SmallVec::new(),
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

    /// Where on the screen; another size than the source's (after its rotation) asks for scaling.
    #[must_use]
    pub fn destination(mut self, destination: Rectangle) -> Self {
        self.destination = Some(destination);
        self
    }

    /// Turns and mirrors the source rectangle (`rotation`). After a quarter turn the destination
    /// rectangle's default has the source's width as height.
    ///
    /// A plane without the property takes [`Rotation::ROTATE_0`] only.
    #[must_use]
    pub fn rotation(mut self, rotation: Rotation) -> Self {
        self.appearance.rotation = rotation;
        self
    }

    /// How much the whole plane covers what is below (`alpha`): 0 is transparent, 0xffff, the
    /// default, is opaque. A plane without the property takes 0xffff only.
    #[must_use]
    pub fn alpha(mut self, alpha: u16) -> Self {
        self.appearance.alpha = alpha;
        self
    }

    /// What the alpha of each pixel means (`pixel blend mode`), other than
    /// [`BufferDesc::alpha`](dmashare::BufferDesc::alpha) says. It has no effect on formats without
    /// alpha. A plane without the property takes [`AlphaMode::PreMultiplied`] only.
    #[must_use]
    pub fn pixel_blend_mode(mut self, mode: AlphaMode) -> Self {
        self.appearance.pixel_blend_mode = Some(mode);
        self
    }

    /// The plane's position in the stack (`zpos`): higher ones lie over lower ones. Without it the
    /// plane has the place that it had when the card was opened. Planes whose place is fixed, or
    /// not told, take none but that.
    #[must_use]
    pub fn zpos(mut self, zpos: u64) -> Self {
        self.appearance.zpos = Some(zpos);
        self
    }

    /// The parts of the buffer, in its pixels, that differ from what the plane showed before
    /// (`FB_DAMAGE_CLIPS`). Without it, or if it is empty, everything may differ. It counts for this
    /// commit only and is no reason for another check by the driver.
    ///
    /// It is a hint: a plane without the property gets none. One that has it costs two more
    /// ioctls for each commit (`CREATEPROPBLOB`, `DESTROYPROPBLOB`), so it is for displays that copy
    /// or transmit only what has changed.
    #[must_use]
    pub fn damage(mut self, clips: &[Rectangle]) -> Self {
        self.damage = clips.into();
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
