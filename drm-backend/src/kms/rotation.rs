//! Rotation and reflection of a plane.

use std::fmt;

use drm_ffi::{
    DRM_MODE_REFLECT_X, DRM_MODE_REFLECT_Y, DRM_MODE_ROTATE_0, DRM_MODE_ROTATE_90,
    DRM_MODE_ROTATE_180, DRM_MODE_ROTATE_270,
};

/// Value of the plane property `rotation`, in the kernel's terms
/// (`drm_plane_create_rotation_property`): the source rectangle is first reflected, then rotated
/// counter-clockwise, then scaled to the destination rectangle.
///
/// ```
/// use dmashare_drm::Rotation;
///
/// let upside_down = Rotation::ROTATE_180;
/// let mirrored = Rotation::ROTATE_0.reflect_x();
/// assert_eq!(Rotation::ROTATE_90.reflect_x().to_string(), "rotate-90 reflect-x");
/// assert_ne!(upside_down, mirrored);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rotation {
    /// Bits of `DRM_MODE_ROTATE_*` and `DRM_MODE_REFLECT_*`.
    bits: u32,
}

/// The entries of the property, each with its bit.
const WORDS: [(u32, &str); 6] = [
    (DRM_MODE_ROTATE_0, "rotate-0"),
    (DRM_MODE_ROTATE_90, "rotate-90"),
    (DRM_MODE_ROTATE_180, "rotate-180"),
    (DRM_MODE_ROTATE_270, "rotate-270"),
    (DRM_MODE_REFLECT_X, "reflect-x"),
    (DRM_MODE_REFLECT_Y, "reflect-y"),
];

impl Rotation {
    /// No rotation (`rotate-0`).
    pub const ROTATE_0: Self = Self {
        bits: DRM_MODE_ROTATE_0,
    };
    /// Rotation by 90 degrees counter-clockwise (`rotate-90`).
    pub const ROTATE_90: Self = Self {
        bits: DRM_MODE_ROTATE_90,
    };
    /// Rotation by 180 degrees (`rotate-180`).
    pub const ROTATE_180: Self = Self {
        bits: DRM_MODE_ROTATE_180,
    };
    /// Rotation by 270 degrees counter-clockwise (`rotate-270`).
    pub const ROTATE_270: Self = Self {
        bits: DRM_MODE_ROTATE_270,
    };

    /// Swaps left and right before the rotation (`reflect-x`). A second call cancels the first.
    #[must_use]
    pub const fn reflect_x(self) -> Self {
        Self {
            bits: self.bits ^ DRM_MODE_REFLECT_X,
        }
    }

    /// Swaps top and bottom before the rotation (`reflect-y`). A second call cancels the first.
    #[must_use]
    pub const fn reflect_y(self) -> Self {
        Self {
            bits: self.bits ^ DRM_MODE_REFLECT_Y,
        }
    }

    /// Whether the rotation swaps width and height (90 or 270 degrees).
    pub const fn swaps_axes(self) -> bool {
        self.bits & (DRM_MODE_ROTATE_90 | DRM_MODE_ROTATE_270) != 0
    }

    /// The kernel's names of the set bits, `rotate-*` first.
    pub(crate) fn words(self) -> impl Iterator<Item = &'static str> {
        let words = WORDS.iter();
        words.filter_map(move |(bit, word)| (self.bits & bit != 0).then_some(*word))
    }
}

impl Default for Rotation {
    fn default() -> Self {
        Self::ROTATE_0
    }
}

impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.words().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            write!(f, "{separator}{word}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rotation({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_speaks_the_kernels_words() {
        assert_eq!(Rotation::default().to_string(), "rotate-0");
        let turned = Rotation::ROTATE_270.reflect_x().reflect_y();
        assert_eq!(
            format!("{turned:?}"),
            "Rotation(rotate-270 reflect-x reflect-y)"
        );
        assert_eq!(turned.reflect_y().reflect_x(), Rotation::ROTATE_270);
    }

    #[test]
    fn quarter_turns_swap_width_and_height() {
        assert!(Rotation::ROTATE_90.swaps_axes() && Rotation::ROTATE_270.reflect_x().swaps_axes());
        assert!(!Rotation::ROTATE_0.swaps_axes() && !Rotation::ROTATE_180.reflect_y().swaps_axes());
    }
}
