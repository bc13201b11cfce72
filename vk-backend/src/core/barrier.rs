//! Queue family ownership transfers of shared memory: acquire barriers and release barriers.

use ash::vk;

/// Every plane of the single level and layer that a shared image has.
pub(crate) const WHOLE_IMAGE: vk::ImageSubresourceRange = vk::ImageSubresourceRange {
    aspect_mask: vk::ImageAspectFlags::COLOR,
    base_mip_level: 0,
    level_count: 1,
    base_array_layer: 0,
    layer_count: 1,
};

/// This device's side of an ownership transfer: its queue family, stages and accesses.
#[derive(Clone, Copy)]
pub(crate) struct Side {
    pub(crate) family: u32,
    pub(crate) stage: vk::PipelineStageFlags2,
    pub(crate) access: vk::AccessFlags2,
}

/// Acquires an image from `foreign`. The source stage is all commands, which chains the barrier to
/// the submission's semaphore waits and to earlier releases on the same queue; the source access of
/// an acquire is ignored ("Queue Family Ownership Transfer"). The layout is `GENERAL` on both
/// sides: `UNDEFINED` would allow the driver to discard the content.
pub(crate) fn acquire_image(
    image: vk::Image,
    foreign: u32,
    own: Side,
) -> vk::ImageMemoryBarrier2<'static> {
    vk::ImageMemoryBarrier2::default()
        .src_stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS)
        .dst_stage_mask(own.stage)
        .dst_access_mask(own.access)
        .old_layout(vk::ImageLayout::GENERAL)
        .new_layout(vk::ImageLayout::GENERAL)
        .src_queue_family_index(foreign)
        .dst_queue_family_index(own.family)
        .image(image)
        .subresource_range(WHOLE_IMAGE)
}

/// Releases an image to `foreign` from layout `old`.
pub(crate) fn release_image(
    image: vk::Image,
    foreign: u32,
    own: Side,
    old: vk::ImageLayout,
) -> vk::ImageMemoryBarrier2<'static> {
    vk::ImageMemoryBarrier2::default()
        .src_stage_mask(own.stage)
        .src_access_mask(own.access)
        .dst_stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS)
        .old_layout(old)
        .new_layout(vk::ImageLayout::GENERAL)
        .src_queue_family_index(own.family)
        .dst_queue_family_index(foreign)
        .image(image)
        .subresource_range(WHOLE_IMAGE)
}

/// Acquires a whole buffer from `foreign`.
pub(crate) fn acquire_buffer(
    buffer: vk::Buffer,
    foreign: u32,
    own: Side,
) -> vk::BufferMemoryBarrier2<'static> {
    vk::BufferMemoryBarrier2::default()
        .src_stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS)
        .dst_stage_mask(own.stage)
        .dst_access_mask(own.access)
        .src_queue_family_index(foreign)
        .dst_queue_family_index(own.family)
        .buffer(buffer)
        .size(vk::WHOLE_SIZE)
}

/// Releases a whole buffer to `foreign`.
pub(crate) fn release_buffer(
    buffer: vk::Buffer,
    foreign: u32,
    own: Side,
) -> vk::BufferMemoryBarrier2<'static> {
    vk::BufferMemoryBarrier2::default()
        .src_stage_mask(own.stage)
        .src_access_mask(own.access)
        .dst_stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS)
        .src_queue_family_index(own.family)
        .dst_queue_family_index(foreign)
        .buffer(buffer)
        .size(vk::WHOLE_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Side = Side {
        family: 3,
        stage: vk::PipelineStageFlags2::COPY,
        access: vk::AccessFlags2::TRANSFER_READ,
    };

    #[test]
    fn acquire_keeps_the_content() {
        let barrier = acquire_image(vk::Image::null(), vk::QUEUE_FAMILY_FOREIGN_EXT, OWN);
        assert_eq!(barrier.old_layout, vk::ImageLayout::GENERAL);
        assert_eq!(barrier.src_queue_family_index, vk::QUEUE_FAMILY_FOREIGN_EXT);
        assert_eq!(barrier.dst_queue_family_index, 3);
    }

    #[test]
    fn release_mirrors_acquire() {
        let acquire = acquire_buffer(vk::Buffer::null(), vk::QUEUE_FAMILY_EXTERNAL, OWN);
        let release = release_buffer(vk::Buffer::null(), vk::QUEUE_FAMILY_EXTERNAL, OWN);
        let families = |barrier: &vk::BufferMemoryBarrier2<'_>| {
            (
                barrier.src_queue_family_index,
                barrier.dst_queue_family_index,
            )
        };
        let (from, to) = families(&acquire);
        assert_eq!(families(&release), (to, from));
        assert_eq!(acquire.dst_stage_mask, release.src_stage_mask);
    }
}
