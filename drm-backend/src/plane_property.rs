//! The properties of planes that not every plane has, and their values.

use std::fmt;

/// A property that some planes have and others lack. Its [`Display`](fmt::Display) is the kernel's
/// name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PlaneProperty {
    /// `rotation`.
    Rotation,
    /// `alpha`.
    Alpha,
    /// `pixel blend mode`.
    PixelBlendMode,
    /// `zpos`.
    Zpos,
    /// `COLOR_ENCODING`.
    ColorEncoding,
    /// `COLOR_RANGE`.
    ColorRange,
    /// `FB_DAMAGE_CLIPS`.
    FbDamageClips,
}

impl PlaneProperty {
    /// How many of them are configuration: all but damage, which is the last.
    pub(crate) const CONFIGURED: usize = Self::FbDamageClips as usize;

    /// All of them, each at the place of its discriminant.
    pub(crate) const ALL: [Self; 7] = [
        Self::Rotation,
        Self::Alpha,
        Self::PixelBlendMode,
        Self::Zpos,
        Self::ColorEncoding,
        Self::ColorRange,
        Self::FbDamageClips,
    ];

    /// The properties that are configuration.
    pub(crate) fn configured() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().take(Self::CONFIGURED)
    }

    /// The kernel's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rotation => "rotation",
            Self::Alpha => "alpha",
            Self::PixelBlendMode => "pixel blend mode",
            Self::Zpos => "zpos",
            Self::ColorEncoding => "COLOR_ENCODING",
            Self::ColorRange => "COLOR_RANGE",
            Self::FbDamageClips => "FB_DAMAGE_CLIPS",
        }
    }
}

impl fmt::Display for PlaneProperty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the properties of a plane are set to, in the order of [`PlaneProperty`]. `None`: the plane
/// lacks it, or it does not matter for what is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PlaneValues([Option<u64>; PlaneProperty::CONFIGURED]);

impl PlaneValues {
    /// Sets one that is configuration.
    pub(crate) fn set(&mut self, property: PlaneProperty, value: Option<u64>) {
        if let Some(place) = self.0.get_mut(property as usize) {
            *place = value;
        }
    }

    /// The properties that are set.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PlaneProperty, u64)> {
        let all = PlaneProperty::configured().zip(self.0);
        all.filter_map(|(property, value)| Some((property, value?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_the_place_of_its_discriminant() {
        for (index, property) in PlaneProperty::ALL.into_iter().enumerate() {
            assert_eq!(property as usize, index);
        }
        assert!(PlaneProperty::configured().all(|one| one != PlaneProperty::FbDamageClips));
        assert_eq!(
            PlaneProperty::configured().count() + 1,
            PlaneProperty::ALL.len()
        );
    }
}
