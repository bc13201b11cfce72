//! Images that are copied, and the commands that do it.

use std::sync::Arc;

use anyhow::{Result, ensure};
use ash::vk;

use super::pattern;
use crate::floor::{
    Commands, Exported, Exporter, HostBuffer, Image, Recording, Submitter, Vulkan, foreign,
    supported_modifiers,
};
use crate::{FORMAT, Size, VULKAN_USAGE};

pub(super) const USAGE: vk::ImageUsageFlags = vk::ImageUsageFlags::from_raw(
    VULKAN_USAGE.as_raw()
        | vk::ImageUsageFlags::TRANSFER_SRC.as_raw()
        | vk::ImageUsageFlags::TRANSFER_DST.as_raw(),
);

const COPY_STAGE: vk::PipelineStageFlags2 = vk::PipelineStageFlags2::COPY;
/// An image is read by a copy.
pub(super) const COPIED: foreign::Use = (COPY_STAGE, vk::AccessFlags2::TRANSFER_READ);
/// An image is written by a copy.
pub(super) const FILLED: foreign::Use = (COPY_STAGE, vk::AccessFlags2::TRANSFER_WRITE);

/// Exports an image that is full of a pattern, which is in the buffer as well.
pub(super) fn export_filled(
    vulkan: &Arc<Vulkan>,
    size: Size,
    pixels: &mut HostBuffer,
) -> Result<Exported> {
    let supported = supported_modifiers(vulkan, FORMAT, size.into(), USAGE)?;
    let exporter = Exporter::new(vulkan, FORMAT, size.into(), USAGE, &supported);
    let exported = exporter.export()?;
    pattern(pixels.bytes_mut());
    let image = exported.image.raw();
    let fill = Commands::record(vulkan, |recording| {
        recording.barrier(to_layout(image, vk::ImageLayout::UNDEFINED, FILLED));
        copy_to_image(recording, pixels, image, size);
        let general = vk::ImageLayout::GENERAL;
        recording.barrier(foreign::give(vulkan, image, FILLED, general));
    })?;
    finish(vulkan, &fill)?;
    Ok(exported)
}

/// An image of the device alone, as the driver likes it best, in layout `GENERAL`.
pub(super) fn private_image(vulkan: &Arc<Vulkan>, size: Size) -> Result<Image> {
    let create = vk::ImageCreateInfo::default()
        .image_type(vk::ImageType::TYPE_2D)
        .format(FORMAT)
        .extent(vk::Extent2D::from(size).into())
        .mip_levels(1)
        .array_layers(1)
        .samples(vk::SampleCountFlags::TYPE_1)
        .tiling(vk::ImageTiling::OPTIMAL)
        .usage(USAGE)
        .sharing_mode(vk::SharingMode::EXCLUSIVE)
        .initial_layout(vk::ImageLayout::UNDEFINED);
    // SAFETY: every device takes images of this format for these uses.
    let mut image = unsafe { Image::create(vulkan, &create) }?;
    let requirements = image.requirements();
    let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().image(image.raw());
    let allocate = vk::MemoryAllocateInfo::default()
        .allocation_size(requirements.size)
        .memory_type_index(vulkan.memory_type(requirements.memory_type_bits)?)
        .push_next(&mut dedicated);
    // SAFETY: size and type are the image's, the allocation is dedicated to it.
    unsafe { image.allocate(&allocate) }?;
    // SAFETY: allocated above; this is the image's format.
    unsafe { image.bind(FORMAT) }?;
    let raw = image.raw();
    let first = Commands::record(vulkan, |recording| {
        recording.barrier(to_layout(raw, vk::ImageLayout::UNDEFINED, FILLED));
    })?;
    finish(vulkan, &first)?;
    Ok(image)
}

/// Submits commands and waits for their end.
pub(super) fn finish(vulkan: &Arc<Vulkan>, commands: &Commands) -> Result<()> {
    let mut submitter = Submitter::new(vulkan)?;
    submitter.submit_with(commands, None, None)?;
    submitter.wait()
}

/// Whether a private image holds the pixels.
pub(super) fn check(vulkan: &Arc<Vulkan>, image: &Image, size: Size, pixels: &[u8]) -> Result<()> {
    let read = HostBuffer::new(vulkan, size.bytes())?;
    let commands = Commands::record(vulkan, |recording| {
        let general = vk::ImageLayout::GENERAL;
        recording.barrier(to_layout(image.raw(), general, COPIED));
        copy_to_buffer(recording, image.raw(), &read, size);
    })?;
    finish(vulkan, &commands)?;
    ensure!(read.bytes() == pixels, "the copy is not what was copied");
    Ok(())
}

/// Brings an image into layout `GENERAL` after all that was done with it.
pub(super) fn to_layout(
    image: vk::Image,
    old: vk::ImageLayout,
    (stage, access): foreign::Use,
) -> vk::ImageMemoryBarrier2<'static> {
    vk::ImageMemoryBarrier2::default()
        .src_stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS)
        .src_access_mask(vk::AccessFlags2::MEMORY_WRITE)
        .dst_stage_mask(stage)
        .dst_access_mask(access)
        .old_layout(old)
        .new_layout(vk::ImageLayout::GENERAL)
        .src_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
        .dst_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
        .image(image)
        .subresource_range(foreign::WHOLE)
}

const LAYER: vk::ImageSubresourceLayers = vk::ImageSubresourceLayers {
    aspect_mask: vk::ImageAspectFlags::COLOR,
    mip_level: 0,
    base_array_layer: 0,
    layer_count: 1,
};

fn whole(size: Size) -> vk::BufferImageCopy {
    vk::BufferImageCopy::default()
        .image_subresource(LAYER)
        .image_extent(vk::Extent2D::from(size).into())
}

/// Copies a whole image in layout `GENERAL` to a buffer that the CPU reads next.
pub(super) fn copy_to_buffer(
    recording: &Recording<'_>,
    image: vk::Image,
    buffer: &HostBuffer,
    size: Size,
) {
    let Recording {
        device,
        buffer: commands,
    } = *recording;
    let general = vk::ImageLayout::GENERAL;
    let regions = [whole(size)];
    // SAFETY: recording; image and buffer are of this device and size, made for transfers.
    unsafe { device.cmd_copy_image_to_buffer(commands, image, general, buffer.raw(), &regions) };
    let barriers = [vk::MemoryBarrier2::default()
        .src_stage_mask(COPY_STAGE)
        .src_access_mask(vk::AccessFlags2::TRANSFER_WRITE)
        .dst_stage_mask(vk::PipelineStageFlags2::HOST)
        .dst_access_mask(vk::AccessFlags2::HOST_READ)];
    let dependency = vk::DependencyInfo::default().memory_barriers(&barriers);
    // SAFETY: recording, outside of a rendering.
    unsafe { device.cmd_pipeline_barrier2(commands, &dependency) };
}

/// Copies a buffer to a whole image in layout `GENERAL`.
pub(super) fn copy_to_image(
    recording: &Recording<'_>,
    buffer: &HostBuffer,
    image: vk::Image,
    size: Size,
) {
    let Recording {
        device,
        buffer: commands,
    } = *recording;
    let general = vk::ImageLayout::GENERAL;
    let regions = [whole(size)];
    // SAFETY: recording; image and buffer are of this device and size, made for transfers.
    unsafe { device.cmd_copy_buffer_to_image(commands, buffer.raw(), image, general, &regions) };
}

/// Copies a whole image to another, both in layout `GENERAL`.
pub(super) fn copy_image(recording: &Recording<'_>, from: vk::Image, to: vk::Image, size: Size) {
    let Recording {
        device,
        buffer: commands,
    } = *recording;
    let general = vk::ImageLayout::GENERAL;
    let regions = [vk::ImageCopy::default()
        .src_subresource(LAYER)
        .dst_subresource(LAYER)
        .extent(vk::Extent2D::from(size).into())];
    // SAFETY: recording; both images are of this device and size, made for transfers.
    unsafe { device.cmd_copy_image(commands, from, general, to, general, &regions) };
}
