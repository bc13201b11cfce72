//! A `BufferDesc` in Vulkan's terms: format, usage, flags, view formats.

use ash::vk;
use dmashare::{BufferDesc, Extent, Fourcc, LayoutError, Usage};
use smallvec::SmallVec;

use crate::error::NoSrgbFormat;
use crate::physical_device::format::{srgb_counterpart, vk_format, vk_srgb_format};

/// The parameters with which the driver is queried and the image is created. They must be
/// identical, as `vkCreateImage` demands (VUID-VkImageCreateInfo-imageCreateMaxMipLevels-02251).
#[derive(Clone, Debug)]
pub(crate) struct ImagePlan {
    pub(crate) fourcc: Fourcc,
    pub(crate) format: vk::Format,
    pub(crate) usage: vk::ImageUsageFlags,
    pub(crate) flags: vk::ImageCreateFlags,
    /// The view formats, the image's own first; more than one make the image mutable.
    pub(crate) view_formats: SmallVec<[vk::Format; 4]>,
    pub(crate) extent: Extent,
    /// The CPU will map the dma-buf.
    pub(crate) cpu: bool,
}

fn vk_usage(usage: Usage) -> vk::ImageUsageFlags {
    const PAIRS: [(Usage, vk::ImageUsageFlags); 5] = [
        (Usage::RENDER, vk::ImageUsageFlags::COLOR_ATTACHMENT),
        (Usage::SAMPLE, vk::ImageUsageFlags::SAMPLED),
        (Usage::STORAGE, vk::ImageUsageFlags::STORAGE),
        (Usage::TRANSFER_SOURCE, vk::ImageUsageFlags::TRANSFER_SRC),
        (
            Usage::TRANSFER_DESTINATION,
            vk::ImageUsageFlags::TRANSFER_DST,
        ),
    ];
    let usage = PAIRS
        .into_iter()
        .filter(|(asked, _)| usage.contains(*asked))
        .fold(vk::ImageUsageFlags::empty(), |all, (_, flag)| all | flag);
    if usage.is_empty() {
        // Only a display, an encoder or the CPU uses it. A Vulkan image needs at least one usage
        // (VUID-VkImageCreateInfo-usage-requiredbitmask), and every format supports being a copy
        // source.
        return vk::ImageUsageFlags::TRANSFER_SRC;
    }
    usage
}

impl ImagePlan {
    /// The plan for a description; `None` if Vulkan has no equivalent of one of its formats.
    pub(crate) fn new(desc: &BufferDesc) -> Option<Self> {
        let format = vk_format(desc.format)?;
        let mut view_formats = SmallVec::from_slice(&[format]);
        for fourcc in &desc.view_formats {
            let view_format = vk_format(*fourcc)?;
            if !view_formats.contains(&view_format) {
                view_formats.push(view_format);
            }
        }
        if desc.srgb_views {
            // Collected first, because the list cannot grow while it is iterated. No counterpart is
            // in it yet.
            let srgb: SmallVec<[vk::Format; 4]> = view_formats
                .iter()
                .filter_map(|format| srgb_counterpart(*format))
                .collect();
            view_formats.extend(srgb);
        }
        let flags = if view_formats.len() > 1 {
            vk::ImageCreateFlags::MUTABLE_FORMAT
        } else {
            vk::ImageCreateFlags::empty()
        };
        Some(Self {
            fourcc: desc.format,
            format,
            usage: vk_usage(desc.usage),
            flags,
            view_formats,
            extent: desc.extent,
            cpu: desc.usage.intersects(Usage::CPU_READ | Usage::CPU_WRITE),
        })
    }

    /// A plan for a format query, without a particular image.
    pub(crate) fn of_format(format: Fourcc, usage: Usage) -> Option<Self> {
        Self::new(&BufferDesc::new("query", Extent::new(1, 1), format, usage))
    }

    /// Refuses a description that asks for sRGB views of a format without an sRGB counterpart.
    pub(crate) fn check_srgb(desc: &BufferDesc) -> Result<(), NoSrgbFormat> {
        if desc.srgb_views && vk_srgb_format(desc.format).is_none() {
            return Err(NoSrgbFormat {
                format: desc.format,
            });
        }
        Ok(())
    }

    /// The extent in pixels that width and height must be multiples of: Vulkan has no images with a
    /// partial chroma sample at the edge (VUID-VkImageCreateInfo-format-04712, -04713).
    pub(crate) fn whole_samples(format: Fourcc) -> Extent {
        // Subsampling factors are 1, 2 or 4, so the largest is a multiple of all.
        let planes = format.info().map_or(&[][..], |info| info.planes).iter();
        planes.fold(Extent::new(1, 1), |all, plane| {
            Extent::new(
                all.width.max(plane.horizontal_subsampling.into()),
                all.height.max(plane.vertical_subsampling.into()),
            )
        })
    }

    /// Refuses an extent with partial chroma samples.
    pub(crate) fn check_extent(&self) -> Result<(), LayoutError> {
        let Extent { width, height } = self.extent;
        let whole = Self::whole_samples(self.fourcc);
        if width.is_multiple_of(whole.width) && height.is_multiple_of(whole.height) {
            return Ok(());
        }
        Err(LayoutError::OddExtent {
            format: self.fourcc,
            extent: self.extent,
        })
    }

    /// Whether the format has several planes, which may be in separate memories
    /// (VUID-VkImageCreateInfo-format-01577). Planes added by a modifier do not count.
    pub(crate) fn is_multi_planar(&self) -> bool {
        self.fourcc.info().is_some_and(|info| info.planes.len() > 1)
    }

    /// The same plan with each plane in a memory of its own.
    pub(crate) fn disjoint(&self) -> Self {
        let mut plan = self.clone();
        plan.flags |= vk::ImageCreateFlags::DISJOINT;
        plan
    }

    /// Whether each plane is in a memory of its own.
    pub(crate) fn is_disjoint(&self) -> bool {
        self.flags.contains(vk::ImageCreateFlags::DISJOINT)
    }

    /// Whether the format list must be chained (VUID-VkImageCreateInfo-tiling-02353: a mutable
    /// image with modifiers needs one).
    pub(crate) fn is_mutable(&self) -> bool {
        self.flags.contains(vk::ImageCreateFlags::MUTABLE_FORMAT)
    }

    /// Whether the library creates views: the usage must allow them
    /// (VUID-VkImageViewCreateInfo-image-04441), and images of luma and chroma need a conversion
    /// that the application chooses, so it creates their views.
    pub(crate) fn has_views(&self) -> bool {
        let viewable = vk::ImageUsageFlags::SAMPLED
            | vk::ImageUsageFlags::STORAGE
            | vk::ImageUsageFlags::COLOR_ATTACHMENT;
        let is_yuv = self.fourcc.info().is_some_and(|info| info.is_yuv);
        self.usage.intersects(viewable) && !is_yuv
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usage_has_its_flag() {
        let plan = ImagePlan::of_format(Fourcc::XRGB8888, Usage::RENDER | Usage::SAMPLE);
        let expected = vk::ImageUsageFlags::COLOR_ATTACHMENT | vk::ImageUsageFlags::SAMPLED;
        assert_eq!(plan.unwrap().usage, expected);
    }

    #[test]
    fn an_image_for_others_can_still_be_copied_from() {
        let plan = ImagePlan::of_format(Fourcc::XRGB8888, Usage::SCANOUT).unwrap();
        assert_eq!(plan.usage, vk::ImageUsageFlags::TRANSFER_SRC);
        assert!(!plan.has_views());
    }

    #[test]
    fn only_another_vulkan_format_makes_an_image_mutable() {
        let mut desc = BufferDesc::new("a", Extent::new(1, 1), Fourcc::XRGB8888, Usage::SAMPLE);
        desc.view_formats = vec![Fourcc::ARGB8888];
        assert!(!ImagePlan::new(&desc).unwrap().is_mutable());
        desc.view_formats = vec![Fourcc::ABGR8888];
        assert!(ImagePlan::new(&desc).unwrap().is_mutable());
    }
    #[test]
    fn srgb_views_make_an_image_mutable() {
        let mut desc = BufferDesc::new("a", Extent::new(1, 1), Fourcc::XRGB8888, Usage::SAMPLE);
        desc.srgb_views = true;
        let plan = ImagePlan::new(&desc).unwrap();
        assert!(plan.is_mutable());
        let formats = [vk::Format::B8G8R8A8_UNORM, vk::Format::B8G8R8A8_SRGB];
        assert_eq!(plan.view_formats.as_slice(), formats);
    }

    #[test]
    fn chroma_has_whole_samples() {
        let is_taken = |format, width, height| {
            let desc = BufferDesc::new("a", Extent::new(width, height), format, Usage::SAMPLE);
            let checked = ImagePlan::new(&desc).unwrap().check_extent();
            let refused = matches!(checked, Err(LayoutError::OddExtent { .. }));
            assert_eq!(refused, checked.is_err());
            !refused
        };
        for format in [Fourcc::NV12, Fourcc::P010, Fourcc::YUV420] {
            assert!(is_taken(format, 64, 48));
            assert!(!is_taken(format, 63, 48) && !is_taken(format, 64, 47));
        }
        assert!(is_taken(Fourcc::NV16, 64, 47) && !is_taken(Fourcc::NV16, 63, 48));
        assert!(is_taken(Fourcc::XRGB8888, 63, 47));
    }
}
