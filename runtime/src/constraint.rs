//! What a device demands of memory before it can use it.

use std::fmt;

use crate::{Allocation, Backing, Modifier, Placements};

/// Where memory must be, and how an image must lie in it, for a device to use it. Made by
/// [`AccessConstraint::default`], which demands nothing, and by setting members.
///
/// An importer says it at attach ([`Importer::constraint`](crate::Importer::constraint)). A buffer
/// that can move is moved to fit it, before it is mapped and before it is pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessConstraint {
    /// Where the device reaches memory.
    pub placements: Placements,
    /// The modifiers that it takes; `None` if this constraint does not limit them.
    pub modifiers: Option<Vec<Modifier>>,
    /// Bytes of which every plane's stride must be a multiple.
    pub stride_alignment: u32,
}

impl Default for AccessConstraint {
    fn default() -> Self {
        Self {
            placements: Placements::all(),
            modifiers: None,
            stride_alignment: 1,
        }
    }
}

impl AccessConstraint {
    /// A constraint of the place only.
    pub fn placements(placements: Placements) -> Self {
        Self {
            placements,
            ..Self::default()
        }
    }

    /// What is wrong with a backing; `None` if the device can use it.
    pub(crate) fn objection(&self, backing: &Backing) -> Option<String> {
        self.objection_to(backing.allocation())
    }

    /// Whether the device can use this memory.
    pub fn fits(&self, allocation: &Allocation) -> bool {
        self.objection_to(allocation).is_none()
    }

    fn objection_to(&self, allocation: &Allocation) -> Option<String> {
        if !self.placements.has(allocation.placement) {
            return Some(format!(
                "it is in {}, and must be in {}",
                allocation.placement, self.placements
            ));
        }
        let layout = allocation.dmabuf.layout();
        if let Some(modifiers) = &self.modifiers
            && !modifiers.contains(&layout.modifier())
        {
            return Some(format!(
                "its modifier is {}, and must be one of {modifiers:?}",
                layout.modifier()
            ));
        }
        let alignment = self.stride_alignment.max(1);
        let crooked = layout
            .planes()
            .iter()
            .find(|plane| !plane.stride.is_multiple_of(alignment));
        crooked.map(|plane| {
            format!(
                "its stride is {} bytes, and must be a multiple of {alignment}",
                plane.stride
            )
        })
    }

    /// What both demand; `None` if nothing can fit both.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        let placements = self.placements & other.placements;
        let modifiers = match (&self.modifiers, &other.modifiers) {
            (Some(own), Some(others)) => Some(
                own.iter()
                    .copied()
                    .filter(|modifier| others.contains(modifier))
                    .collect::<Vec<_>>(),
            ),
            (own, others) => own.clone().or_else(|| others.clone()),
        };
        if placements.is_empty() || modifiers.as_ref().is_some_and(Vec::is_empty) {
            return None;
        }
        let (own, others) = (self.stride_alignment.max(1), other.stride_alignment.max(1));
        Some(Self {
            placements,
            modifiers,
            stride_alignment: least_common_multiple(own, others)?,
        })
    }
}

/// `None` if it does not fit.
pub(crate) fn least_common_multiple(a: u32, b: u32) -> Option<u32> {
    let (mut divisor, mut rest) = (a, b);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (a / divisor).checked_mul(b)
}

impl fmt::Display for AccessConstraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in {}", self.placements)?;
        if let Some(modifiers) = &self.modifiers {
            write!(f, ", with one of the modifiers {modifiers:?}")?;
        }
        if self.stride_alignment > 1 {
            write!(f, ", strides multiples of {}", self.stride_alignment)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_intersect() {
        let mut display = AccessConstraint::placements(Placements::HOST | Placements::DEVICE);
        display.stride_alignment = 256;
        let mut encoder = AccessConstraint::placements(Placements::HOST);
        encoder.stride_alignment = 96;
        encoder.modifiers = Some(vec![Modifier::LINEAR]);
        let both = display.intersect(&encoder).unwrap();
        assert_eq!(both.placements, Placements::HOST);
        assert_eq!(both.stride_alignment, 768);
        assert_eq!(both.modifiers, Some(vec![Modifier::LINEAR]));
        assert_eq!(both, encoder.intersect(&display).unwrap());
    }

    #[test]
    fn what_nothing_fits_is_none() {
        let device = AccessConstraint::placements(Placements::DEVICE);
        let host = AccessConstraint::placements(Placements::HOST);
        assert_eq!(device.intersect(&host), None);
        let tiled = AccessConstraint {
            modifiers: Some(vec![Modifier::new(1)]),
            ..AccessConstraint::default()
        };
        let linear = AccessConstraint {
            modifiers: Some(vec![Modifier::LINEAR]),
            ..AccessConstraint::default()
        };
        assert_eq!(tiled.intersect(&linear), None);
        let odd = |stride_alignment| AccessConstraint {
            stride_alignment,
            ..AccessConstraint::default()
        };
        assert_eq!(odd(u32::MAX).intersect(&odd(u32::MAX - 1)), None);
    }
}
