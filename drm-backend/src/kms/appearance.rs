//! Appearance of a buffer on a plane.

use dmashare::AlphaMode;

use crate::kms::rotation::Rotation;

/// Plane settings that an application requests in addition to the rectangles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appearance {
    pub(crate) rotation: Rotation,
    pub(crate) alpha: u16,
    /// `None` means the alpha mode of the buffer's description.
    pub(crate) pixel_blend_mode: Option<AlphaMode>,
    pub(crate) zpos: Option<u64>,
}

impl Appearance {
    /// `DRM_BLEND_ALPHA_OPAQUE` of `drm_blend.h`.
    pub(crate) const OPAQUE: u16 = 0xffff;
}

impl Default for Appearance {
    fn default() -> Self {
        Self {
            rotation: Rotation::ROTATE_0,
            alpha: Self::OPAQUE,
            pixel_blend_mode: None,
            zpos: None,
        }
    }
}
