//! What a device requires of memory.

use std::fmt;
use std::sync::Arc;

use crate::image::modifier::Modifier;
use crate::memory::backing::{Allocation, Backing};
use crate::memory::placement::Placements;

/// Where memory must be, and how an image must be laid out in it, for a device to use it. Start from
/// [`AccessConstraint::default`], which requires nothing, and set members.
///
/// An importer states its constraint at attach ([`Importer::constraint`](crate::Importer::constraint)).
/// A buffer that can move is moved to satisfy it before it is mapped or pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessConstraint {
    /// Where the device can access memory.
    pub placements: Placements,
    /// The modifiers that the device accepts; `None` if it accepts all.
    pub modifiers: Option<Vec<Modifier>>,
    /// Every plane's stride must be a multiple of this many bytes.
    pub stride_alignment: u32,
    /// The exact stride of every plane in bytes, for a device that chooses strides itself; `None` if
    /// only the alignment matters.
    pub stride: Option<u32>,
    /// Why the device requires this, if it is not obvious. Errors and routes quote it.
    pub because: Option<Arc<str>>,
}

impl Default for AccessConstraint {
    fn default() -> Self {
        Self {
            placements: Placements::all(),
            modifiers: None,
            stride_alignment: 1,
            stride: None,
            because: None,
        }
    }
}

impl AccessConstraint {
    /// A constraint on the placement only.
    pub fn placements(placements: Placements) -> Self {
        Self {
            placements,
            ..Self::default()
        }
    }

    /// Why the device cannot use a backing; `None` if it can.
    pub(crate) fn objection(&self, backing: &Backing) -> Option<String> {
        self.objection_to(backing.allocation())
    }

    /// Whether the device can use this memory.
    pub fn fits(&self, allocation: &Allocation) -> bool {
        self.objection_to(allocation).is_none()
    }

    /// Whether the device accepts a stride of `stride` bytes.
    pub fn takes_stride(&self, stride: u32) -> bool {
        stride.is_multiple_of(self.stride_alignment.max(1))
            && self.stride.is_none_or(|exact| exact == stride)
    }

    /// Why the device cannot use this memory; `None` if it can.
    pub(crate) fn objection_to(&self, allocation: &Allocation) -> Option<String> {
        let objection = self.bare_objection_to(allocation)?;
        Some(match &self.because {
            Some(because) => format!("{objection}: {because}"),
            None => objection,
        })
    }

    fn bare_objection_to(&self, allocation: &Allocation) -> Option<String> {
        if !self.placements.has(allocation.placement) {
            return Some(format!(
                "it is in {}, but must be in {}",
                allocation.placement, self.placements
            ));
        }
        let layout = allocation.dmabuf.layout();
        if let Some(modifiers) = &self.modifiers
            && !modifiers.contains(&layout.modifier())
        {
            return Some(format!(
                "its modifier is {}, but must be one of {modifiers:?}",
                layout.modifier()
            ));
        }
        let mut strides = layout.planes().iter().map(|plane| plane.stride);
        let stride = strides.find(|stride| !self.takes_stride(*stride))?;
        Some(format!(
            "its stride is {stride} bytes, but must be {}",
            match self.stride {
                Some(exact) => exact.to_string(),
                None => format!("a multiple of {}", self.stride_alignment.max(1)),
            }
        ))
    }

    /// The constraint that satisfies both; `None` if none does. It no longer comes from one device, so
    /// it has no reason ([`because`](Self::because)).
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
        let stride = self.stride.or(other.stride);
        if stride.is_some_and(|stride| !self.takes_stride(stride) || !other.takes_stride(stride)) {
            return None;
        }
        let (own, others) = (self.stride_alignment.max(1), other.stride_alignment.max(1));
        Some(Self {
            placements,
            modifiers,
            stride_alignment: least_common_multiple(own, others)?,
            stride,
            because: None,
        })
    }
}

/// `None` on overflow.
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
            write!(
                f,
                ", with strides that are multiples of {}",
                self.stride_alignment
            )?;
        }
        if let Some(stride) = self.stride {
            write!(f, ", with a stride of {stride}")?;
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
        let exact = |stride, stride_alignment| AccessConstraint {
            stride: Some(stride),
            stride_alignment,
            ..AccessConstraint::default()
        };
        assert_eq!(exact(400, 1).intersect(&exact(512, 1)), None);
        let aligned = AccessConstraint {
            stride_alignment: 256,
            ..AccessConstraint::default()
        };
        assert_eq!(exact(400, 1).intersect(&aligned), None);
        assert_eq!(exact(512, 1).intersect(&aligned), Some(exact(512, 256)));
        assert_eq!(aligned.intersect(&exact(512, 1)), Some(exact(512, 256)));
        let odd = |stride_alignment| AccessConstraint {
            stride_alignment,
            ..AccessConstraint::default()
        };
        assert_eq!(odd(u32::MAX).intersect(&odd(u32::MAX - 1)), None);
    }
}
