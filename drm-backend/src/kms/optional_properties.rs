//! Values of optional plane properties in a commit.

use std::fmt;

use dmashare::{AlphaMode, ColorRange, MatrixCoefficients};

use crate::error::CommitError;
use crate::framebuffer::PixelMeaning;
use crate::kms::appearance::Appearance;
use crate::kms::property::{Properties, Property};
use crate::kms::rotation::Rotation;
use crate::plane_property::{PlaneProperty, PlaneValues};

/// The optional properties of one plane.
#[derive(Debug)]
pub(crate) struct OptionalProperties {
    plane: u32,
    properties: [Option<Property>; PlaneProperty::ALL.len()],
}

impl OptionalProperties {
    pub(crate) fn new(plane: u32, properties: &Properties) -> Self {
        Self {
            plane,
            properties: PlaneProperty::ALL.map(|property| properties.get(property.name()).cloned()),
        }
    }

    pub(crate) fn get(&self, property: PlaneProperty) -> Option<&Property> {
        self.properties[property as usize].as_ref()
    }

    /// The value to which each property must be set.
    ///
    /// If the plane lacks a property, only the behaviour of planes without that property is accepted;
    /// any other request is an error.
    pub(crate) fn values(
        &self,
        asked: &Appearance,
        content: PixelMeaning,
    ) -> Result<PlaneValues, CommitError> {
        let mut values = PlaneValues::default();
        let mut set = |property, value| values.set(property, value);
        set(PlaneProperty::Rotation, self.rotation(asked.rotation)?);
        set(PlaneProperty::Alpha, self.alpha(asked.alpha)?);
        set(
            PlaneProperty::PixelBlendMode,
            self.pixel_blend_mode(asked.pixel_blend_mode, content)?,
        );
        set(PlaneProperty::Zpos, self.zpos(asked.zpos)?);
        if content.is_yuv {
            set(PlaneProperty::ColorEncoding, self.color_encoding(content)?);
            set(PlaneProperty::ColorRange, self.color_range(content)?);
        }
        Ok(values)
    }

    fn rotation(&self, asked: Rotation) -> Result<Option<u64>, CommitError> {
        let property = PlaneProperty::Rotation;
        let Some(found) = self.get(property) else {
            return self.lacking(property, asked == Rotation::ROTATE_0, &asked);
        };
        let bits = asked.words().map(|word| Some(1 << found.enum_value(word)?));
        let mask = bits.sum::<Option<u64>>();
        match mask {
            Some(mask) => Ok(Some(mask)),
            None => Err(self.refused(property, &asked, Some(words(found)))),
        }
    }

    fn alpha(&self, asked: u16) -> Result<Option<u64>, CommitError> {
        let property = PlaneProperty::Alpha;
        let Some(_) = self.get(property) else {
            return self.lacking(property, asked == Appearance::OPAQUE, &asked);
        };
        Ok(Some(asked.into()))
    }

    fn pixel_blend_mode(
        &self,
        asked: Option<AlphaMode>,
        content: PixelMeaning,
    ) -> Result<Option<u64>, CommitError> {
        let property = PlaneProperty::PixelBlendMode;
        let mode = match asked.unwrap_or(content.alpha) {
            // All blend modes are equivalent when every pixel is opaque.
            _ if !content.has_alpha => AlphaMode::PreMultiplied,
            mode => mode,
        };
        let word = match mode {
            AlphaMode::Coverage => "Coverage",
            AlphaMode::Opaque => "None",
            _ => "Pre-multiplied",
        };
        let default = mode == AlphaMode::PreMultiplied;
        self.word(property, word, default, false)
    }

    fn zpos(&self, asked: Option<u64>) -> Result<Option<u64>, CommitError> {
        let property = PlaneProperty::Zpos;
        let Some(found) = self.get(property) else {
            let shown = asked.unwrap_or_default();
            return self.lacking(property, asked.is_none(), &shown);
        };
        if found.immutable {
            return match asked {
                Some(asked) if asked != found.value => {
                    let fixed = found.value.to_string();
                    Err(self.refused(property, &asked, Some(fixed)))
                }
                _ => Ok(None),
            };
        }
        // An earlier commit may have changed zpos, so the initial value must be set again.
        let wanted = asked.unwrap_or(found.value);
        match found.limits {
            Some((smallest, largest)) if !(smallest..=largest).contains(&wanted) => {
                let range = format!("{smallest} to {largest}");
                Err(self.refused(property, &wanted, Some(range)))
            }
            _ => Ok(Some(wanted)),
        }
    }

    fn color_encoding(&self, content: PixelMeaning) -> Result<Option<u64>, CommitError> {
        let (word, default) = match content.color.matrix {
            MatrixCoefficients::Bt709 => ("ITU-R BT.709 YCbCr", false),
            MatrixCoefficients::Bt2020 => ("ITU-R BT.2020 YCbCr", false),
            // The kernel's default, also used if the buffer's description leaves it open.
            _ => ("ITU-R BT.601 YCbCr", true),
        };
        self.word(
            PlaneProperty::ColorEncoding,
            word,
            default,
            is_unsaid(content),
        )
    }

    fn color_range(&self, content: PixelMeaning) -> Result<Option<u64>, CommitError> {
        let (word, default) = match content.color.range {
            ColorRange::Full => ("YCbCr full range", is_unsaid(content)),
            ColorRange::Limited => ("YCbCr limited range", true),
        };
        self.word(PlaneProperty::ColorRange, word, default, is_unsaid(content))
    }

    /// The value of an enumeration entry. A plane without the property accepts only the `default`
    /// entry. If the property lacks the entry, the plane keeps its previous value, provided that the
    /// buffer's description leaves the meaning open (`unsaid`).
    fn word(
        &self,
        property: PlaneProperty,
        word: &str,
        default: bool,
        unsaid: bool,
    ) -> Result<Option<u64>, CommitError> {
        let Some(found) = self.get(property) else {
            return self.lacking(property, default, &word);
        };
        match found.enum_value(word) {
            Some(value) if found.immutable && value == found.value => Ok(None),
            Some(value) if !found.immutable => Ok(Some(value)),
            None if unsaid => Ok((!found.immutable).then_some(found.value)),
            _ => Err(self.refused(property, &word, Some(words(found)))),
        }
    }

    fn lacking(
        &self,
        property: PlaneProperty,
        default: bool,
        asked: &dyn fmt::Display,
    ) -> Result<Option<u64>, CommitError> {
        if default {
            Ok(None)
        } else {
            Err(self.refused(property, asked, None))
        }
    }

    fn refused(
        &self,
        property: PlaneProperty,
        asked: &dyn fmt::Display,
        available: Option<String>,
    ) -> CommitError {
        CommitError::PlaneProperty {
            plane: self.plane,
            property,
            value: asked.to_string(),
            available,
        }
    }
}

/// Whether the description of a YUV buffer leaves the meaning of its values open.
fn is_unsaid(content: PixelMeaning) -> bool {
    content.color.matrix == MatrixCoefficients::Identity
}

/// Lists the entries of an enumeration or a bitmask.
fn words(property: &Property) -> String {
    let words = property.enum_values.iter().map(|(word, _)| word.as_str());
    let words: Vec<&str> = words.collect();
    words.join(", ")
}

#[cfg(test)]
mod tests;
