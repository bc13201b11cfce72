//! What a device can do with a modifier, and the cache of the driver's answers.

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
    /// The number of memory planes (`drmFormatModifierPlaneCount`), including those added by the
    /// modifier.
    pub plane_count: u32,
    /// Whether the device can export such an image as a dma-buf.
    pub exportable: bool,
    /// Whether it can import one.
    pub importable: bool,
    /// Whether it reports that it can import one whose planes are in several dma-bufs
    /// (`VK_FORMAT_FEATURE_DISJOINT_BIT`); false for formats of one plane.
    pub disjoint: bool,
    /// The largest extent.
    pub max_extent: Extent,
}

/// A bound on the cache; larger than the number of formats and usages in any real program.
pub(crate) const MOST_ANSWERS: usize = 256;

/// The parameters of a plan that `vkGetPhysicalDeviceImageFormatProperties2` depends on: all but
/// the extent.
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

/// The cached answers of the driver.
pub(crate) type Answers = HashMap<Question, Arc<[ModifierSupport]>>;
