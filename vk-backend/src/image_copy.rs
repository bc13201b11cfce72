//! Copying one image to another, all planes of it.

use ash::vk;
use dmashare::{Extent, Fourcc};
use smallvec::SmallVec;

use crate::Image;
use crate::commands::OneTimeCommands;
use crate::format::plane_aspect;

const COPY: vk::PipelineStageFlags2 = vk::PipelineStageFlags2::COPY;

fn regions(format: Fourcc, extent: Extent) -> SmallVec<[vk::ImageCopy; 4]> {
    // Every format of an image is in the table (`vk_format`).
    let infos = format.info().map_or(&[][..], |info| info.planes);
    let planes = infos.iter().enumerate().map(|(index, info)| {
        let layers = vk::ImageSubresourceLayers::default()
            .aspect_mask(plane_aspect(format, index))
            .layer_count(1);
        vk::ImageCopy::default()
            .src_subresource(layers)
            .dst_subresource(layers)
            .extent(vk::Extent3D {
                width: extent
                    .width
                    .div_ceil(u32::from(info.horizontal_subsampling)),
                height: info.rows(extent.height),
                depth: 1,
            })
    });
    planes.collect()
}

/// Bytes of pixels in all planes, without padding.
pub(crate) fn pixel_bytes(format: Fourcc, extent: Extent) -> u64 {
    let infos = format.info().map_or(&[][..], |info| info.planes);
    let planes = infos.iter();
    planes
        .map(|info| info.row_bytes(extent.width) * u64::from(info.rows(extent.height)))
        .sum()
}

/// Records the copy of `from` to `to`, which have one format and extent: both are acquired from the
/// world outside, and released to it afterwards.
pub(crate) fn record(device: &ash::Device, commands: &OneTimeCommands, from: &Image, to: &Image) {
    let (read, write) = (
        vk::AccessFlags2::TRANSFER_READ,
        vk::AccessFlags2::TRANSFER_WRITE,
    );
    commands.image_barriers(&[from.acquire(COPY, read), to.acquire(COPY, write)]);
    // SAFETY: the command buffer is recording; both images are of this device, of one format and
    // extent, and in layout GENERAL after the barriers; the regions are inside both.
    unsafe {
        device.cmd_copy_image(
            commands.raw(),
            from.raw(),
            vk::ImageLayout::GENERAL,
            to.raw(),
            vk::ImageLayout::GENERAL,
            &regions(from.format(), from.extent()),
        );
    }
    commands.image_barriers(&[from.release(COPY, read), to.release(COPY, write)]);
}
