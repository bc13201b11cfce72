//! Commit requests: what an application asks a card to show.

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
    /// One clip is stored inline; a larger inline capacity would enlarge every commit.
    pub(crate) damage: SmallVec<[Rectangle; 1]>,
}

impl PlaneCommit {
    /// Shows a buffer on the output's primary plane, unscaled at the top left corner and cropped to
    /// the screen.
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

    /// Shows a buffer on the given plane.
    pub fn on(plane: &Plane, mapping: &Mapping<Card>) -> Self {
        Self {
            plane: Some(plane.clone()),
            ..Self::primary(mapping)
        }
    }

    /// Sets a fence that the display waits for before it shows the buffer (`IN_FENCE_FD`), in addition
    /// to the fences in the buffer's reservation.
    #[must_use]
    pub fn fence(mut self, fence: &Fence) -> Self {
        self.fence = Some(fence.clone());
        self
    }

    /// Sets the part of the buffer to show.
    #[must_use]
    pub fn source(mut self, source: Rectangle) -> Self {
        self.source = Some(source);
        self
    }

    /// Sets the rectangle on the screen. A size that differs from the rotated source requests scaling.
    #[must_use]
    pub fn destination(mut self, destination: Rectangle) -> Self {
        self.destination = Some(destination);
        self
    }

    /// Rotates and reflects the source rectangle (`rotation`). A rotation by 90 or 270 degrees swaps
    /// width and height of the default destination rectangle.
    ///
    /// A plane without the property accepts only [`Rotation::ROTATE_0`].
    #[must_use]
    pub fn rotation(mut self, rotation: Rotation) -> Self {
        self.appearance.rotation = rotation;
        self
    }

    /// Sets the opacity of the whole plane (`alpha`): 0 is transparent; 0xffff, the default, is
    /// opaque. A plane without the property accepts only 0xffff.
    #[must_use]
    pub fn alpha(mut self, alpha: u16) -> Self {
        self.appearance.alpha = alpha;
        self
    }

    /// Sets the meaning of per-pixel alpha (`pixel blend mode`), overriding
    /// [`BufferDesc::alpha`](dmashare::BufferDesc::alpha). It has no effect on formats without alpha.
    /// A plane without the property accepts only [`AlphaMode::PreMultiplied`].
    #[must_use]
    pub fn pixel_blend_mode(mut self, mode: AlphaMode) -> Self {
        self.appearance.pixel_blend_mode = Some(mode);
        self
    }

    /// Sets the plane's position in the stack (`zpos`); higher planes cover lower ones. By default the
    /// plane keeps the position that it had when the card was opened. A plane whose position is
    /// immutable or unknown accepts only that.
    #[must_use]
    pub fn zpos(mut self, zpos: u64) -> Self {
        self.appearance.zpos = Some(zpos);
        self
    }

    /// Sets the parts of the buffer, in buffer pixels, that differ from what the plane showed before
    /// (`FB_DAMAGE_CLIPS`). Without clips the whole buffer may differ. The clips apply to this commit
    /// only and do not cause another check by the driver.
    ///
    /// Damage is a hint: on a plane without the property it is ignored. On a plane with the property
    /// it costs two more ioctls per commit (`CREATEPROPBLOB`, `DESTROYPROPBLOB`), so it suits displays
    /// that copy or transmit only what has changed.
    #[must_use]
    pub fn damage(mut self, clips: &[Rectangle]) -> Self {
        self.damage = clips.into();
        self
    }
}

/// The full state of one output. Planes of the output that are not listed are disabled.
#[derive(Clone, Debug)]
pub struct OutputCommit {
    pub(crate) output: Output,
    pub(crate) active: bool,
    pub(crate) mode: Option<Mode>,
    pub(crate) planes: SmallVec<[PlaneCommit; 4]>,
    pub(crate) writeback: Option<Mapping<Card>>,
}

impl OutputCommit {
    /// An output that is on, without planes. It keeps its current mode, or gets its preferred mode if
    /// none is set.
    pub fn new(output: &Output) -> Self {
        Self {
            output: output.clone(),
            active: true,
            mode: None,
            planes: SmallVec::new(),
            writeback: None,
        }
    }

    /// An output that is off. Its flip event reports that the display no longer reads any of its
    /// buffers. There is no event if the output was already off.
    pub fn off(output: &Output) -> Self {
        Self {
            active: false,
            ..Self::new(output)
        }
    }

    /// Sets the mode of the output.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Adds a plane to the output.
    #[must_use]
    pub fn plane(mut self, plane: PlaneCommit) -> Self {
        self.planes.push(plane);
        self
    }

    /// Captures what this commit shows into a buffer (`WRITEBACK_FB_ID`) of the same size as the mode.
    /// The buffer has a write fence until the capture completes, which
    /// [`Event::Written`](crate::Event::Written) reports.
    ///
    /// The first capture of an output attaches its writeback connector, which the kernel treats as a
    /// modeset. The connector stays attached until the mode changes or the output is switched off.
    #[must_use]
    pub fn writeback(mut self, target: &Mapping<Card>) -> Self {
        self.writeback = Some(target.clone());
        self
    }
}

/// An atomic update of any number of outputs of one card, for [`Card::commit`]. Outputs that are not
/// listed stay unchanged.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    pub(crate) outputs: SmallVec<[OutputCommit; 2]>,
}

impl Commit {
    /// An empty commit.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an output to the commit.
    #[must_use]
    pub fn output(mut self, output: OutputCommit) -> Self {
        self.outputs.push(output);
        self
    }

    /// The planes of all active outputs, in order.
    pub(crate) fn planes(&self) -> impl Iterator<Item = &PlaneCommit> {
        let on = self.outputs.iter().filter(|output| output.active);
        on.flat_map(|output| &output.planes)
    }
}
