//! What a party can do with one format and modifier.

use crate::image::buffer_desc::Usage;
use crate::image::extent::Extent;
use crate::image::fourcc::Fourcc;
use crate::image::layout::MAX_PLANES;
use crate::image::modifier::Modifier;

/// Whether an image's planes may lie in several memories: Vulkan's `VK_IMAGE_CREATE_DISJOINT_BIT`
/// (possible where a format has `VK_FORMAT_FEATURE_DISJOINT_BIT`), V4L2's formats with an `M`.
///
/// For an image that has one plane in memory it means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DisjointPlanes {
    /// All planes must lie in one memory.
    #[default]
    Refused,
    /// Either way.
    Allowed,
    /// Each plane must lie in a memory of its own.
    Required,
}

/// What a party can do with one format and modifier. Made by [`FormatSupport::new`] and by setting
/// members.
///
/// | member | Vulkan | KMS |
/// |---|---|---|
/// | `modifier` | `VkDrmFormatModifierPropertiesEXT` | `IN_FORMATS` of a plane |
/// | `memory_planes` | `drmFormatModifierPlaneCount` | not told |
/// | `usage` | `drmFormatModifierTilingFeatures`, `VkExternalMemoryFeatureFlags` | [`Usage::SCANOUT`] |
/// | `maximum_extent` | `VkImageFormatProperties.maxExtent` | `max_width`, `max_height` of the card |
/// | `extent_alignment` | 2 where chroma has half the samples | not told |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FormatSupport {
    /// The pixel format.
    pub format: Fourcc,
    /// The modifier. [`Modifier::INVALID`] (implicit) is never negotiated, see [the module's
    /// page](crate::negotiation); stated, it makes a refusal say why.
    pub modifier: Modifier,
    /// How many planes an image has in memory, 1 to 4, with those that the modifier adds; `None` if
    /// the party does not tell. Parties that differ in it mean different layouts. Any other number
    /// fits nothing.
    pub memory_planes: Option<u8>,
    /// The uses for which the party can use such an image. A party needs one entry that serves all of
    /// its uses: it is one image.
    pub usage: Usage,
    /// The smallest image, in pixels.
    pub minimum_extent: Extent,
    /// The largest image, in pixels.
    pub maximum_extent: Extent,
    /// Pixels of which the width and the height must be multiples; 0 counts as 1. Vulkan wants whole
    /// chroma samples (VUID-VkImageCreateInfo-format-04712, -04713).
    pub extent_alignment: Extent,
    /// Whether planes may lie in several memories.
    pub disjoint: DisjointPlanes,
}

impl FormatSupport {
    /// Images of any extent, planes in one memory, how many of them not told.
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

    /// Sets the number of planes in memory (`drmFormatModifierPlaneCount`).
    #[must_use]
    pub const fn with_memory_planes(mut self, planes: u8) -> Self {
        self.memory_planes = Some(planes);
        self
    }

    /// Limits it to an extent.
    #[must_use]
    pub const fn with_maximum_extent(mut self, maximum: Extent) -> Self {
        self.maximum_extent = maximum;
        self
    }

    /// Limits it to widths and heights that are multiples of these.
    #[must_use]
    pub const fn with_extent_alignment(mut self, alignment: Extent) -> Self {
        self.extent_alignment = alignment;
        self
    }

    /// Says whether planes may lie in one memory or in several.
    #[must_use]
    pub const fn with_disjoint(mut self, disjoint: DisjointPlanes) -> Self {
        self.disjoint = disjoint;
        self
    }

    /// Whether images of this extent are neither too small nor too large, and whole.
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

    /// The numbers of planes in memory that this entry stands for.
    pub(crate) fn plane_counts(&self) -> PlaneCounts {
        self.memory_planes
            .map_or(PlaneCounts::ANY, PlaneCounts::only)
    }

    /// The counts that are possible with planes in one memory, or in several.
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

/// A set of numbers of planes, 1 to 4.
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

    /// What a format allows: a modifier may add planes, never drop one, and LINEAR adds none.
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

    /// The number, if there is just one.
    pub(crate) fn single(self) -> Option<u8> {
        let mut counts = self.iter();
        counts.next().filter(|_| counts.next().is_none())
    }
}
