//! DRM pixel formats and their Vulkan formats.

use ash::vk;
use dmashare::Fourcc;

/// DRM formats name the components from the most significant bit of a little-endian word, Vulkan's
/// unpacked formats in memory order, and Vulkan's `PACK` formats from the most significant bit. A
/// format without alpha shares the Vulkan format of its sibling with alpha: see
/// [`Image::sampled_view`](crate::Image::sampled_view). Vulkan has no blue-first 16-bit format.
const TABLE: &[(Fourcc, vk::Format)] = &[
    (Fourcc::R8, vk::Format::R8_UNORM),
    (Fourcc::GR88, vk::Format::R8G8_UNORM),
    (Fourcc::RGB565, vk::Format::R5G6B5_UNORM_PACK16),
    (Fourcc::XRGB8888, vk::Format::B8G8R8A8_UNORM),
    (Fourcc::ARGB8888, vk::Format::B8G8R8A8_UNORM),
    (Fourcc::XBGR8888, vk::Format::R8G8B8A8_UNORM),
    (Fourcc::ABGR8888, vk::Format::R8G8B8A8_UNORM),
    (Fourcc::XRGB2101010, vk::Format::A2R10G10B10_UNORM_PACK32),
    (Fourcc::ARGB2101010, vk::Format::A2R10G10B10_UNORM_PACK32),
    (Fourcc::XBGR2101010, vk::Format::A2B10G10R10_UNORM_PACK32),
    (Fourcc::ABGR2101010, vk::Format::A2B10G10R10_UNORM_PACK32),
    (Fourcc::XBGR16161616, vk::Format::R16G16B16A16_UNORM),
    (Fourcc::ABGR16161616, vk::Format::R16G16B16A16_UNORM),
    (Fourcc::XBGR16161616F, vk::Format::R16G16B16A16_SFLOAT),
    (Fourcc::ABGR16161616F, vk::Format::R16G16B16A16_SFLOAT),
    (Fourcc::NV12, vk::Format::G8_B8R8_2PLANE_420_UNORM),
    (Fourcc::NV16, vk::Format::G8_B8R8_2PLANE_422_UNORM),
    (
        Fourcc::P010,
        vk::Format::G10X6_B10X6R10X6_2PLANE_420_UNORM_3PACK16,
    ),
    (Fourcc::YUV420, vk::Format::G8_B8_R8_3PLANE_420_UNORM),
];

/// The Vulkan format with the memory layout of `fourcc`, if there is one.
pub fn vk_format(fourcc: Fourcc) -> Option<vk::Format> {
    TABLE
        .iter()
        .find(|(known, _)| *known == fourcc)
        .map(|(_, format)| *format)
}

/// The Vulkan format that reads the pixels of `fourcc` as sRGB, if there is one, for views of
/// buffers with [`BufferDesc::srgb_views`](dmashare::BufferDesc::srgb_views). On many devices,
/// `_SRGB` formats do not support storage images, so give such a view an explicit usage
/// (`VkImageViewUsageCreateInfo`).
pub fn vk_srgb_format(fourcc: Fourcc) -> Option<vk::Format> {
    vk_format(fourcc).and_then(srgb_counterpart)
}

/// The sRGB format with the same bit layout ("Format Compatibility Classes").
pub(crate) fn srgb_counterpart(format: vk::Format) -> Option<vk::Format> {
    match format {
        vk::Format::R8_UNORM => Some(vk::Format::R8_SRGB),
        vk::Format::R8G8_UNORM => Some(vk::Format::R8G8_SRGB),
        vk::Format::B8G8R8A8_UNORM => Some(vk::Format::B8G8R8A8_SRGB),
        vk::Format::R8G8B8A8_UNORM => Some(vk::Format::R8G8B8A8_SRGB),
        _ => None,
    }
}

/// Every DRM format with a Vulkan format in the table.
pub fn fourccs() -> impl Iterator<Item = Fourcc> {
    TABLE.iter().map(|(fourcc, _)| *fourcc)
}

/// Whether the Vulkan format has an alpha component that `fourcc` lacks, so that its bits are
/// undefined.
pub(crate) fn has_unused_alpha(fourcc: Fourcc) -> bool {
    let has_alpha = |fourcc: Fourcc| fourcc.info().is_some_and(|info| info.has_alpha);
    let format = vk_format(fourcc);
    !has_alpha(fourcc)
        && TABLE
            .iter()
            .any(|(other, known)| Some(*known) == format && has_alpha(*other))
}

/// The aspect of one plane of a format: `COLOR` if the format has a single plane.
pub(crate) fn plane_aspect(fourcc: Fourcc, plane: usize) -> vk::ImageAspectFlags {
    let planes = fourcc.info().map_or(1, |info| info.planes.len());
    match (planes, plane) {
        (1, _) => vk::ImageAspectFlags::COLOR,
        (_, 0) => vk::ImageAspectFlags::PLANE_0,
        (_, 1) => vk::ImageAspectFlags::PLANE_1,
        _ => vk::ImageAspectFlags::PLANE_2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_a_known_memory_layout() {
        assert!(fourccs().all(|fourcc| fourcc.info().is_some()));
    }

    #[test]
    fn formats_with_and_without_alpha_share_a_vulkan_format() {
        assert_eq!(vk_format(Fourcc::XRGB8888), vk_format(Fourcc::ARGB8888));
        assert_eq!(vk_format(Fourcc::XRGB16161616), None);
    }

    #[test]
    fn formats_of_eight_bits_can_be_srgb() {
        let srgb = vk::Format::B8G8R8A8_SRGB;
        assert_eq!(vk_srgb_format(Fourcc::XRGB8888), Some(srgb));
        let has_eight_bits = |fourcc: Fourcc| {
            let name = fourcc.info().unwrap().name;
            ["R8", "GR88"].contains(&name) || name.contains("8888")
        };
        for fourcc in fourccs() {
            let is_srgb = vk_srgb_format(fourcc).is_some();
            assert_eq!(is_srgb, has_eight_bits(fourcc), "{fourcc}");
        }
    }

    #[test]
    fn only_the_formats_named_x_have_an_unused_alpha() {
        for fourcc in fourccs() {
            let named_x = fourcc.info().unwrap().name.starts_with('X');
            assert_eq!(has_unused_alpha(fourcc), named_x, "{fourcc}");
        }
    }

    #[test]
    fn planes_have_their_aspects() {
        assert_eq!(
            plane_aspect(Fourcc::XRGB8888, 0),
            vk::ImageAspectFlags::COLOR
        );
        assert_eq!(plane_aspect(Fourcc::NV12, 1), vk::ImageAspectFlags::PLANE_1);
    }
}
