//! The layout of an exported image's planes.

use dmashare::{Extent, FormatInfo, Modifier, PlaneLayout};
use smallvec::SmallVec;

use crate::failure::Failure;
use crate::image::shared_image::{Arrangement, SharedImage, explicit_planes};
use crate::physical_device::image_plan::ImagePlan;

/// The stride alignment in bytes of a layout made by this library. It satisfies every GPU whose
/// requirement is known.
const STRIDE_ALIGNMENT: u64 = 256;

/// The planes as reported by the driver; `None` if a stride is 0 or exceeds 4 GiB.
pub(crate) fn reported(image: &SharedImage, count: u32) -> Option<SmallVec<[PlaneLayout; 4]>> {
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(4);
    let planes = (0..count).map(|plane| {
        let layout = image.memory_plane(plane);
        let stride = u32::try_from(layout.row_pitch).ok();
        Some(PlaneLayout {
            memory: 0,
            offset: layout.offset,
            stride: stride.filter(|stride| *stride > 0)?,
        })
    });
    planes.collect()
}

/// The first plane that begins before the end of the one before it. Checks only format planes,
/// whose sizes are known; the additional planes of a modifier may lie anywhere.
///
/// Mesa's lavapipe up to 26.1 reports the first plane for every plane, so importers would read the
/// wrong bytes.
pub(crate) fn overlap(plan: &ImagePlan, planes: &[PlaneLayout]) -> Option<usize> {
    let infos = plan.fourcc.info()?.planes;
    (1..planes.len().min(infos.len())).find(|&plane| {
        let before = planes[plane - 1];
        let bytes = u64::from(infos[plane - 1].rows(plan.extent.height)) * u64::from(before.stride);
        planes[plane].offset < before.offset.saturating_add(bytes)
            && planes[plane].offset >= before.offset
    })
}

/// Replaces the image by one whose linear planes lie where this library says, for a driver that
/// does not report its own layout.
pub(crate) fn placed(
    plan: &ImagePlan,
    reported: SharedImage,
) -> Result<(SharedImage, SmallVec<[PlaneLayout; 4]>), Failure> {
    let core = reported.core.clone();
    drop(reported);
    let planes = plan
        .fourcc
        .info()
        .map(|info| linear(info, plan.extent))
        .unwrap_or_default();
    let arrangement = Arrangement::Explicit {
        modifier: Modifier::LINEAR.as_raw(),
        planes: &explicit_planes(&planes),
    };
    let image = SharedImage::create(&core, plan, &arrangement)?;
    Ok((image, planes))
}

/// Lays out planes one after the other without gaps. lavapipe does not count gaps in an image's
/// memory requirements, and exported memory has exactly that size.
fn linear(info: &FormatInfo, extent: Extent) -> SmallVec<[PlaneLayout; 4]> {
    let mut offset = 0;
    let planes = info.planes.iter().map(|plane| {
        let stride = plane
            .row_bytes(extent.width)
            .next_multiple_of(STRIDE_ALIGNMENT);
        let layout = PlaneLayout {
            memory: 0,
            offset,
            // The extent is within the driver's limits, so a row is far below 4 GiB.
            stride: u32::try_from(stride).unwrap_or(0),
        };
        offset += stride * u64::from(plane.rows(extent.height));
        layout
    });
    planes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dmashare::{Fourcc, Layout, Usage};

    #[test]
    fn a_layout_of_our_own_has_room_for_every_plane() {
        for info in FormatInfo::all() {
            for (width, height) in [(2, 2), (334, 78), (1920, 1080)] {
                let extent = Extent::new(width, height);
                let planes = linear(info, extent);
                let last = planes.last().unwrap();
                let rows = u64::from(info.planes.last().unwrap().rows(height));
                let size = last.offset + u64::from(last.stride) * rows;
                Layout::new(info.fourcc, extent, Modifier::LINEAR, &planes, &[size]).unwrap();
                let Some(mut plan) = ImagePlan::of_format(info.fourcc, Usage::SAMPLE) else {
                    continue;
                };
                plan.extent = extent;
                assert_eq!(overlap(&plan, &planes), None, "{info:?} {extent}");
            }
        }
    }

    #[test]
    fn a_plane_in_the_place_of_another_is_seen() {
        let mut plan = ImagePlan::of_format(Fourcc::YUV420, Usage::SAMPLE).unwrap();
        plan.extent = Extent::new(64, 64);
        let mut planes = linear(plan.fourcc.info().unwrap(), plan.extent);
        planes[2] = planes[1];
        assert_eq!(overlap(&plan, &planes), Some(2));
        planes[1] = planes[0];
        assert_eq!(overlap(&plan, &planes), Some(1));
    }
}
