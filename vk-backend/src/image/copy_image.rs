//! Copies of whole images and of their damaged parts, in all planes.

use ash::vk;
use dmashare::{Damage, Extent, Fourcc};
use smallvec::SmallVec;

use crate::core::commands::OneTimeCommands;
use crate::core::device_core::DeviceCore;
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

/// Why one image cannot be copied to another.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotCopyable {
    #[error("the images belong to another device")]
    ForeignImage,
    #[error("the source is {} of {}, and the target {} of {}", from.0, from.1, to.0, to.1)]
    Unlike {
        from: (Fourcc, Extent),
        to: (Fourcc, Extent),
    },
    #[error("the source is the target")]
    SameImage,
    #[error("the source or the target was created without the usage for copies")]
    Usage,
}

/// Two images of which the first can be copied to the second.
pub(crate) struct CopyPair<'a> {
    from: &'a Image,
    to: &'a Image,
}

impl<'a> CopyPair<'a> {
    pub(crate) fn new(
        core: &DeviceCore,
        from: &'a Image,
        to: &'a Image,
    ) -> Result<Self, NotCopyable> {
        let is_foreign = |image: &Image| !std::ptr::eq(&*image.inner.core, core);
        let image = |image: &Image| (image.format(), image.extent());
        if is_foreign(from) || is_foreign(to) {
            return Err(NotCopyable::ForeignImage);
        }
        if image(from) != image(to) {
            return Err(NotCopyable::Unlike {
                from: image(from),
                to: image(to),
            });
        }
        if from.raw() == to.raw() {
            return Err(NotCopyable::SameImage);
        }
        let usable = from.usage().contains(vk::ImageUsageFlags::TRANSFER_SRC)
            && to.usage().contains(vk::ImageUsageFlags::TRANSFER_DST);
        if !usable {
            return Err(NotCopyable::Usage);
        }
        Ok(Self { from, to })
    }

    /// Records a copy of the whole image, like [`record_damage`](Self::record_damage).
    pub(crate) fn record(&self, commands: &OneTimeCommands) {
        self.record_damage(commands, &Damage::whole());
    }

    /// Records a copy of the damaged parts. Acquires both images from the foreign queue family and
    /// releases them afterwards.
    pub(crate) fn record_damage(&self, commands: &OneTimeCommands, damage: &Damage) {
        let Self { from, to } = self;
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
        // SAFETY: the command buffer is recording and of the images' device. `new` has checked that the
        // two images differ, have the same format and extent, and can be copied; the regions are
        // inside them, and both are in layout GENERAL after the barriers.
        unsafe {
            from.inner.core.raw.cmd_copy_image(
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
}
