//! Copies of whole images and of their damaged parts, in all planes.

use ash::vk;
use dmashare::{Damage, Extent, Fourcc};
use smallvec::SmallVec;

use crate::core::commands::OneTimeCommands;
use crate::image::Image;
use crate::physical_device::format::plane_aspect;

const COPY: vk::PipelineStageFlags2 = vk::PipelineStageFlags2::COPY;

/// One region for each plane of each damaged rectangle, for an image of this format and extent.
fn regions(format: Fourcc, extent: Extent, damage: &Damage) -> SmallVec<[vk::ImageCopy; 4]> {
    // Every image has a format in the table (`vk_format`).
    let infos = format.info().map_or(&[][..], |info| info.planes);
    let pieces = damage.within(extent);
    let copies = pieces.flat_map(|piece| {
        infos.iter().enumerate().map(move |(index, info)| {
            let layers = vk::ImageSubresourceLayers::default()
                .aspect_mask(plane_aspect(format, index))
                .layer_count(1);
            let samples = info.samples(piece);
            let offset = vk::Offset3D {
                x: samples.x,
                y: samples.y,
                z: 0,
            };
            vk::ImageCopy::default()
                .src_subresource(layers)
                .src_offset(offset)
                .dst_subresource(layers)
                .dst_offset(offset)
                .extent(vk::Extent3D {
                    width: samples.width,
                    height: samples.height,
                    depth: 1,
                })
        })
    });
    copies.collect()
}

/// Bytes of pixels in all planes, without padding.
pub(crate) fn pixel_bytes(format: Fourcc, extent: Extent) -> u64 {
    damaged_bytes(format, extent, &Damage::whole())
}

/// Bytes of the damaged samples of all planes.
pub(crate) fn damaged_bytes(format: Fourcc, extent: Extent, damage: &Damage) -> u64 {
    let infos = format.info().map_or(&[][..], |info| info.planes);
    let pieces = damage.within(extent);
    pieces
        .flat_map(|piece| {
            infos
                .iter()
                .map(move |info| info.samples(piece).pixels() * u64::from(info.bytes_per_sample))
        })
        .sum()
}

/// Records a copy of all of `from` to `to`, like [`record_damage`].
pub(crate) fn record(device: &ash::Device, commands: &OneTimeCommands, from: &Image, to: &Image) {
    record_damage(device, commands, from, to, &Damage::whole());
}

/// Records a copy of the damaged parts of `from` to `to`, two images of the same format and extent.
/// Acquires both from the foreign queue family and releases them afterwards.
pub(crate) fn record_damage(
    device: &ash::Device,
    commands: &OneTimeCommands,
    from: &Image,
    to: &Image,
    damage: &Damage,
) {
    let regions = regions(from.format(), from.extent(), damage);
    // VUID-vkCmdCopyImage-regionCount-arraylength
    if regions.is_empty() {
        return;
    }
    let (read, write) = (
        vk::AccessFlags2::TRANSFER_READ,
        vk::AccessFlags2::TRANSFER_WRITE,
    );
    commands.image_barriers(&[from.acquire(COPY, read), to.acquire(COPY, write)]);
    // SAFETY: the command buffer is recording; both images are of this device, have the same format
    // and extent, and are in layout GENERAL after the barriers; the regions are inside both.
    unsafe {
        device.cmd_copy_image(
            commands.raw(),
            from.raw(),
            vk::ImageLayout::GENERAL,
            to.raw(),
            vk::ImageLayout::GENERAL,
            &regions,
        );
    }
    commands.image_barriers(&[from.release(COPY, read), to.release(COPY, write)]);
}
