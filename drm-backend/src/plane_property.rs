//! Optional plane properties and their values.

use std::fmt;

/// A plane property that not every plane has. Its [`Display`](fmt::Display) is the kernel's name of the
/// property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PlaneProperty {
    /// `rotation`: rotation and reflection.
    Rotation,
    /// `alpha`: opacity of the whole plane.
    Alpha,
    /// `pixel blend mode`: meaning of per-pixel alpha.
    PixelBlendMode,
    /// `zpos`: position in the stack of planes.
    Zpos,
    /// `COLOR_ENCODING`: matrix of YCbCr formats.
    ColorEncoding,
    /// `COLOR_RANGE`: range of YCbCr formats.
    ColorRange,
    /// `FB_DAMAGE_CLIPS`: changed parts of the buffer.
    FbDamageClips,
}

impl PlaneProperty {
    /// Number of properties that are part of the configuration: all but damage, which is the last.
    pub(crate) const CONFIGURED: usize = Self::FbDamageClips as usize;

    /// All properties, in the order of their discriminants.
    pub(crate) const ALL: [Self; 7] = [
        Self::Rotation,
        Self::Alpha,
        Self::PixelBlendMode,
        Self::Zpos,
        Self::ColorEncoding,
        Self::ColorRange,
        Self::FbDamageClips,
    ];

    /// The properties that are part of the configuration.
    pub(crate) fn configured() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().take(Self::CONFIGURED)
    }

    /// The kernel's name of the property.
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

/// Values of the configured plane properties, in the order of [`PlaneProperty`]. `None` means that the
/// plane lacks the property, or that the property has no effect on this framebuffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PlaneValues([Option<u64>; PlaneProperty::CONFIGURED]);

impl PlaneValues {
    /// Sets the value of a configured property.
    pub(crate) fn set(&mut self, property: PlaneProperty, value: Option<u64>) {
        if let Some(place) = self.0.get_mut(property as usize) {
            *place = value;
        }
    }

    /// The properties that have a value.
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
