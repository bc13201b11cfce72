//! Whether a driver tells the memory planes of an image apart by their aspects.

use std::sync::Arc;

use ash::vk;
use dmashare::{BufferDesc, Extent, Fourcc, Modifier, PlaneLayout, Usage};

use crate::core::device_core::DeviceCore;
use crate::failure::Failure;
use crate::image::shared_image::{Arrangement, SharedImage, explicit_planes};
use crate::physical_device::image_plan::ImagePlan;

/// Strides for the probe's planes. Each fits the rows of either plane, and every driver accepts it.
const STRIDES: [u32; 2] = [256, 512];

/// Whether the driver tells the planes of an image apart by `VK_IMAGE_ASPECT_MEMORY_PLANE_i_BIT_EXT`.
///
/// A driver that does not (Mesa's lavapipe up to 26.1) reports the first plane for every aspect,
/// and binds the memory of every plane to the first. The other planes stay without memory, and the
/// first access to them crashes. The probe is an image with two different strides and without
/// memory, created once for each device. Call this only for a device that supports disjoint images.
pub(crate) fn are_told_apart(core: &Arc<DeviceCore>) -> Result<bool, Failure> {
    if let Some(known) = core.memory_planes_told_apart.get() {
        return Ok(*known);
    }
    if core.functions.image_memory().is_err() {
        return Ok(false);
    }
    let desc = BufferDesc::new("query", Extent::new(64, 64), Fourcc::NV12, Usage::SAMPLE);
    let Some(plan) = ImagePlan::new(&desc) else {
        return Ok(false);
    };
    let supports = core.physical.modifier_supports(&plan)?;
    let can_be_made = supports
        .iter()
        .any(|support| support.modifier.is_linear() && support.disjoint);
    let told = can_be_made && {
        let planes = [0, 1].map(|memory| PlaneLayout {
            memory,
            offset: 0,
            stride: STRIDES[memory],
        });
        let arrangement = Arrangement::Explicit {
            modifier: Modifier::LINEAR.as_raw(),
            planes: &explicit_planes(&planes),
        };
        match SharedImage::create(core, &plan.disjoint(), &arrangement) {
            Ok(image) => (0..)
                .zip(STRIDES)
                .all(|(plane, stride)| image.memory_plane(plane).row_pitch == u64::from(stride)),
            // A driver that rejects these strides has looked at both.
            Err(Failure {
                source: vk::Result::ERROR_INVALID_DRM_FORMAT_MODIFIER_PLANE_LAYOUT_EXT,
                ..
            }) => true,
            Err(failure) => return Err(failure),
        }
    };
    Ok(*core.memory_planes_told_apart.get_or_init(|| told))
}
