//! Sets of formats with their modifiers.

use dmashare::{Fourcc, Modifier};

/// Format and modifier pairs, as listed by `IN_FORMATS`. They are in the driver's order of preference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormatSet {
    entries: Vec<(Fourcc, Vec<Modifier>)>,
}

impl FormatSet {
    pub(crate) fn insert(&mut self, format: Fourcc, modifier: Modifier) {
        match self.entries.iter_mut().find(|(known, _)| *known == format) {
            Some((_, modifiers)) if modifiers.contains(&modifier) => {}
            Some((_, modifiers)) => modifiers.push(modifier),
            None => self.entries.push((format, vec![modifier])),
        }
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        for (format, modifiers) in other.iter() {
            for modifier in modifiers {
                self.insert(format, *modifier);
            }
        }
    }

    /// All formats, each with its modifiers.
    pub fn iter(&self) -> impl Iterator<Item = (Fourcc, &[Modifier])> {
        self.entries
            .iter()
            .map(|(format, modifiers)| (*format, modifiers.as_slice()))
    }

    /// All formats.
    pub fn fourccs(&self) -> impl Iterator<Item = Fourcc> {
        self.entries.iter().map(|(format, _)| *format)
    }

    /// The modifiers of `format`; empty if the set does not contain the format.
    pub fn modifiers(&self, format: Fourcc) -> &[Modifier] {
        self.entries
            .iter()
            .find(|(known, _)| *known == format)
            .map_or(&[], |(_, modifiers)| modifiers.as_slice())
    }

    /// Whether the set contains the pair.
    pub fn contains(&self, format: Fourcc, modifier: Modifier) -> bool {
        self.modifiers(format).contains(&modifier)
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
