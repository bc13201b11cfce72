//! What a party supports with one format and modifier.

use crate::image::buffer_desc::Usage;
use crate::image::extent::Extent;
use crate::image::fourcc::Fourcc;
use crate::image::layout::MAX_PLANES;
use crate::image::modifier::Modifier;

/// Whether an image's planes may lie in several memories: Vulkan's `VK_IMAGE_CREATE_DISJOINT_BIT`
/// (possible where a format has `VK_FORMAT_FEATURE_DISJOINT_BIT`), V4L2's formats with an `M`.
///
/// It has no meaning for an image with one memory plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DisjointPlanes {
    /// All planes must lie in one memory.
    #[default]
    Refused,
    /// The planes may lie in one memory or in several.
    Allowed,
    /// Each plane must lie in a memory of its own.
    Required,
}

/// What a party supports with one format and modifier. Make it with [`FormatSupport::new`] and set
/// members.
///
/// | member | Vulkan | KMS |
/// |---|---|---|
/// | `modifier` | `VkDrmFormatModifierPropertiesEXT` | `IN_FORMATS` of a plane |
/// | `memory_planes` | `drmFormatModifierPlaneCount` | not reported |
/// | `usage` | `drmFormatModifierTilingFeatures`, `VkExternalMemoryFeatureFlags` | [`Usage::SCANOUT`] |
/// | `maximum_extent` | `VkImageFormatProperties.maxExtent` | `max_width`, `max_height` of the card |
/// | `extent_alignment` | 2 where chroma has half the samples | not reported |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FormatSupport {
    /// The pixel format.
    pub format: Fourcc,
    /// The modifier. [`Modifier::INVALID`] (implicit) is never negotiated, see [the module's
    /// page](crate::negotiation); a party that states it gets that reason in a refusal.
    pub modifier: Modifier,
    /// How many memory planes an image has, 1 to 4, including those that the modifier adds; `None` if
    /// the party does not state it. Parties with different numbers mean different layouts. Any other
    /// number matches nothing.
    pub memory_planes: Option<u8>,
    /// The uses that the party supports. A party needs one entry that serves all of its uses, because
    /// they are of one image.
    pub usage: Usage,
    /// The smallest image, in pixels.
    pub minimum_extent: Extent,
    /// The largest image, in pixels.
    pub maximum_extent: Extent,
    /// Pixels of which the width and the height must be multiples; 0 counts as 1. Vulkan requires whole
    /// chroma samples (VUID-VkImageCreateInfo-format-04712, -04713).
    pub extent_alignment: Extent,
    /// Whether planes may lie in several memories.
    pub disjoint: DisjointPlanes,
}

impl FormatSupport {
    /// Images of any extent, with an unstated number of planes, all in one memory.
    pub const fn new(format: Fourcc, modifier: Modifier, usage: Usage) -> Self {
        Self {
            format,
            modifier,
            memory_planes: None,
            usage,
            minimum_extent: Extent::new(1, 1),
            maximum_extent: Extent::new(u32::MAX, u32::MAX),
            extent_alignment: Extent::new(1, 1),
            disjoint: DisjointPlanes::Refused,
        }
    }

    /// Sets the number of memory planes (`drmFormatModifierPlaneCount`).
    #[must_use]
    pub const fn with_memory_planes(mut self, planes: u8) -> Self {
        self.memory_planes = Some(planes);
        self
    }

    /// Sets the largest extent.
    #[must_use]
    pub const fn with_maximum_extent(mut self, maximum: Extent) -> Self {
        self.maximum_extent = maximum;
        self
    }

    /// Sets the numbers of pixels of which width and height must be multiples.
    #[must_use]
    pub const fn with_extent_alignment(mut self, alignment: Extent) -> Self {
        self.extent_alignment = alignment;
        self
    }

    /// Sets whether planes may lie in several memories.
    #[must_use]
    pub const fn with_disjoint(mut self, disjoint: DisjointPlanes) -> Self {
        self.disjoint = disjoint;
        self
    }

    /// Whether an image of this extent is within the limits and aligned.
    pub fn takes_extent(&self, extent: Extent) -> bool {
        self.is_within_limits(extent) && self.is_whole(extent)
    }

    pub(crate) fn is_within_limits(&self, extent: Extent) -> bool {
        self.minimum_extent.fits(extent) && extent.fits(self.maximum_extent)
    }

    pub(crate) fn is_whole(&self, extent: Extent) -> bool {
        let Extent { width, height } = self.extent_alignment;
        extent.width.is_multiple_of(width.max(1)) && extent.height.is_multiple_of(height.max(1))
    }

    /// The numbers of memory planes that this entry allows.
    pub(crate) fn plane_counts(&self) -> PlaneCounts {
        self.memory_planes
            .map_or(PlaneCounts::ANY, PlaneCounts::only)
    }

    /// The numbers of memory planes that this entry allows with planes in one memory, or in several.
    pub(crate) fn plane_counts_if(&self, disjoint: bool) -> PlaneCounts {
        let single = PlaneCounts::only(1);
        let several = PlaneCounts::ANY.without(single);
        let possible = match (disjoint, self.disjoint) {
            (false, DisjointPlanes::Required) => single,
            (false, _) => PlaneCounts::ANY,
            (true, DisjointPlanes::Refused) => PlaneCounts::NONE,
            (true, _) => several,
        };
        self.plane_counts().and(possible)
    }
}

/// A set of plane counts, 1 to 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlaneCounts(u8);

impl PlaneCounts {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const ANY: Self = Self(0b1111);

    pub(crate) fn only(count: u8) -> Self {
        match count {
            1..=4 => Self(1 << (count - 1)),
            _ => Self::NONE,
        }
    }

    /// The counts that a format allows: a modifier may add planes but never remove one, and LINEAR
    /// adds none.
    pub(crate) fn of_format(format: Fourcc, modifier: Modifier) -> Self {
        let planes = format.info().map_or(1, |info| info.planes.len());
        let counts = if modifier.is_linear() {
            planes..=planes
        } else {
            planes..=MAX_PLANES
        };
        counts.fold(Self::NONE, |all, count| {
            all.or(u8::try_from(count).map_or(Self::NONE, Self::only))
        })
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = u8> {
        (1..=4).filter(move |count| !self.and(Self::only(*count)).is_empty())
    }

    /// The only count in the set; `None` if there is none or more than one.
    pub(crate) fn single(self) -> Option<u8> {
        let mut counts = self.iter();
        counts.next().filter(|_| counts.next().is_none())
    }
}
