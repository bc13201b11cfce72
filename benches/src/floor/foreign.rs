//! The barriers by which an image comes from others and goes to them.

use ash::vk;

use super::Vulkan;

/// All that a shared image has.
pub const WHOLE: vk::ImageSubresourceRange = vk::ImageSubresourceRange {
    aspect_mask: vk::ImageAspectFlags::COLOR,
    base_mip_level: 0,
    level_count: 1,
    base_array_layer: 0,
    layer_count: 1,
};

/// What a device does with an image: in which stages and by which accesses.
pub type Use = (vk::PipelineStageFlags2, vk::AccessFlags2);

/// An image is drawn into.
pub const DRAWN: Use = (
    vk::PipelineStageFlags2::COLOR_ATTACHMENT_OUTPUT,
    vk::AccessFlags2::COLOR_ATTACHMENT_WRITE,
);
/// An image is read, as by what draws with it.
pub const READ: Use = (
    vk::PipelineStageFlags2::COLOR_ATTACHMENT_OUTPUT,
    vk::AccessFlags2::COLOR_ATTACHMENT_READ,
);

/// Takes an image from others, with its content, in layout `GENERAL`.
pub fn take(
    vulkan: &Vulkan,
    image: vk::Image,
    (stage, access): Use,
) -> vk::ImageMemoryBarrier2<'static> {
    vk::ImageMemoryBarrier2::default()
        .src_stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS)
        .dst_stage_mask(stage)
        .dst_access_mask(access)
        .old_layout(vk::ImageLayout::GENERAL)
        .new_layout(vk::ImageLayout::GENERAL)
        .src_queue_family_index(vk::QUEUE_FAMILY_FOREIGN_EXT)
        .dst_queue_family_index(vulkan.queue().1)
        .image(image)
        .subresource_range(WHOLE)
}

/// Gives it to others, out of the layout `old`.
pub fn give(
    vulkan: &Vulkan,
    image: vk::Image,
    (stage, access): Use,
    old: vk::ImageLayout,
) -> vk::ImageMemoryBarrier2<'static> {
    vk::ImageMemoryBarrier2::default()
        .src_stage_mask(stage)
        .src_access_mask(access)
        .dst_stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS)
        .old_layout(old)
        .new_layout(vk::ImageLayout::GENERAL)
        .src_queue_family_index(vulkan.queue().1)
        .dst_queue_family_index(vk::QUEUE_FAMILY_FOREIGN_EXT)
        .image(image)
        .subresource_range(WHOLE)
}
