//! What a device can do with one modifier, and the driver's answers about that so far.

use std::collections::HashMap;
use std::sync::Arc;

use ash::vk;
use dmashare::{Extent, Modifier};
use smallvec::SmallVec;

use crate::physical_device::image_plan::ImagePlan;

/// What a device can do with one modifier of a format, for given uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModifierSupport {
    /// The modifier.
    pub modifier: Modifier,
    /// How many planes an image has in memory (`drmFormatModifierPlaneCount`), with those that the
    /// modifier itself adds.
    pub plane_count: u32,
    /// Whether the device can export such an image as a dma-buf.
    pub exportable: bool,
    /// Whether it can import one.
    pub importable: bool,
    /// Whether it can import one whose planes lie in several dma-bufs
    /// (`VK_FORMAT_FEATURE_DISJOINT_BIT`), as far as it says; never for formats of one plane.
    pub disjoint: bool,
    /// The largest image.
    pub max_extent: Extent,
}

/// More combinations of format and usage than a program has; a bound all the same.
pub(crate) const MOST_ANSWERS: usize = 256;

/// What `vkGetPhysicalDeviceImageFormatProperties2` is asked about a plan: all but its extent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    usage: vk::ImageUsageFlags,
    flags: vk::ImageCreateFlags,
    view_formats: SmallVec<[vk::Format; 4]>,
}

impl Question {
    pub(crate) fn of(plan: &ImagePlan) -> Self {
        Self {
            usage: plan.usage,
            flags: plan.flags,
            // The first of them is the format itself.
            view_formats: plan.view_formats.clone(),
        }
    }
}

/// The driver's answers so far.
pub(crate) type Answers = HashMap<Question, Arc<[ModifierSupport]>>;
