//! The part of a commit that matters to a driver's check: everything but framebuffers, fences and
//! damage.

use std::collections::VecDeque;
use std::fmt;

use dmashare::Rectangle;
use dmashare::{Extent, Fourcc, Modifier};

use crate::kms::mode::Mode;
use crate::plane_property::PlaneValues;

/// The kind of a framebuffer. Framebuffers of the same kind can replace each other without another
/// check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FramebufferKind {
    pub(crate) format: Fourcc,
    pub(crate) modifier: Modifier,
    pub(crate) extent: Extent,
}

/// Configuration of an active CRTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CrtcConfiguration {
    pub(crate) connector: u32,
    pub(crate) mode: Mode,
    /// The CRTC's writeback connector is attached to it.
    pub(crate) writeback_attached: bool,
    /// Kind of the writeback target if this commit is captured.
    pub(crate) capture: Option<FramebufferKind>,
}

/// Configuration of an active plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlaneConfiguration {
    pub(crate) crtc: usize,
    pub(crate) source: Rectangle,
    pub(crate) destination: Rectangle,
    pub(crate) framebuffer: FramebufferKind,
    pub(crate) values: PlaneValues,
}

impl fmt::Display for PlaneConfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.source, self.destination);
        write!(
            f,
            "{} {} {}, {from} to {to}",
            self.framebuffer.format, self.framebuffer.modifier, self.framebuffer.extent,
        )?;
        for (property, value) in self.values.iter() {
            write!(f, ", {property} {value:#x}")?;
        }
        Ok(())
    }
}

/// Configuration of a whole card. Outputs share bandwidth, so the driver's verdict applies only to the
/// card as a whole.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Configuration {
    pub(crate) crtcs: Vec<Option<CrtcConfiguration>>,
    pub(crate) planes: Vec<Option<PlaneConfiguration>>,
}

impl Clone for Configuration {
    fn clone(&self) -> Self {
        Self {
            crtcs: self.crtcs.clone(),
            planes: self.planes.clone(),
        }
    }

    /// Reuses the allocations, so that a steady flip allocates nothing.
    fn clone_from(&mut self, source: &Self) {
        self.crtcs.clone_from(&source.crtcs);
        self.planes.clone_from(&source.planes);
    }
}

impl Configuration {
    /// A card with all CRTCs and planes off.
    pub(crate) fn off(crtcs: usize, planes: usize) -> Self {
        Self {
            crtcs: vec![None; crtcs],
            planes: vec![None; planes],
        }
    }

    /// Removes all captures, which apply to one commit only.
    pub(crate) fn without_captures(&mut self) {
        for crtc in self.crtcs.iter_mut().flatten() {
            crtc.capture = None;
        }
    }
}

/// Configurations that the driver has accepted (`TEST_ONLY`), most recent first.
#[derive(Debug, Default)]
pub(crate) struct Accepted {
    known: VecDeque<Configuration>,
}

impl Accepted {
    /// A display reuses few configurations. Moving windows create many, but those do not recur.
    const LIMIT: usize = 16;

    pub(crate) fn contains(&self, configuration: &Configuration) -> bool {
        self.known.iter().any(|known| known == configuration)
    }

    pub(crate) fn insert(&mut self, configuration: &Configuration) {
        if self.contains(configuration) {
            return;
        }
        self.known.truncate(Self::LIMIT - 1);
        self.known.push_front(configuration.clone());
    }

    /// Removes all entries, because the driver may now refuse them: a display was connected or
    /// disconnected, or the driver refused a real commit.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(x: i32) -> PlaneConfiguration {
        PlaneConfiguration {
            crtc: 0,
            source: Rectangle::new(0, 0, 10, 10),
            destination: Rectangle::new(x, 0, 10, 10),
            framebuffer: FramebufferKind {
                format: Fourcc::XRGB8888,
                modifier: Modifier::LINEAR,
                extent: Extent::new(10, 10),
            },
            values: PlaneValues::default(),
        }
    }

    #[test]
    fn what_was_accepted_is_known_until_it_is_cleared() {
        let mut accepted = Accepted::default();
        let mut configuration = Configuration::off(1, 1);
        configuration.planes[0] = Some(plane(0));
        assert!(!accepted.contains(&configuration));
        accepted.insert(&configuration);
        accepted.insert(&configuration);
        assert!(accepted.contains(&configuration));
        assert_eq!(accepted.known.len(), 1);
        configuration.planes[0] = Some(plane(1));
        assert!(!accepted.contains(&configuration));
        accepted.clear();
        configuration.planes[0] = Some(plane(0));
        assert!(!accepted.contains(&configuration));
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut accepted = Accepted::default();
        for x in 0..20 {
            let mut configuration = Configuration::off(1, 1);
            configuration.planes[0] = Some(plane(x));
            accepted.insert(&configuration);
        }
        assert_eq!(accepted.known.len(), Accepted::LIMIT);
        let mut oldest = Configuration::off(1, 1);
        oldest.planes[0] = Some(plane(3));
        assert!(!accepted.contains(&oldest));
        oldest.planes[0] = Some(plane(4));
        assert!(accepted.contains(&oldest));
    }
}
