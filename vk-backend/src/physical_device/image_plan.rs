//! What a `BufferDesc` is in Vulkan's words: format, usage, flags, view formats.

use ash::vk;
use dmashare::{BufferDesc, Extent, Fourcc, LayoutError, Usage};
use smallvec::SmallVec;

use crate::error::NoSrgbFormat;
use crate::physical_device::format::{srgb_counterpart, vk_format, vk_srgb_format};

/// The parameters of an image that the driver is asked about, and with which it is made: exactly
/// the same both times, as `vkCreateImage` demands (VUID-VkImageCreateInfo-imageCreateMaxMipLevels-02251).
#[derive(Clone, Debug)]
pub(crate) struct ImagePlan {
    pub(crate) fourcc: Fourcc,
    pub(crate) format: vk::Format,
    pub(crate) usage: vk::ImageUsageFlags,
    pub(crate) flags: vk::ImageCreateFlags,
    /// The formats of views, the main one first; more than one make the image mutable.
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
        // Used by a display, an encoder or the CPU only; a Vulkan image has at least one usage
        // (VUID-VkImageCreateInfo-usage-requiredbitmask), and every format can be copied from.
        return vk::ImageUsageFlags::TRANSFER_SRC;
    }
    usage
}

impl ImagePlan {
    /// The plan for a description; `None` if Vulkan has no name for one of its formats.
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
            // Not while they are walked: none of them is the counterpart of another.
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

    /// A plan to ask about a format with, without an image in mind.
    pub(crate) fn of_format(format: Fourcc, usage: Usage) -> Option<Self> {
        Self::new(&BufferDesc::new("query", Extent::new(1, 1), format, usage))
    }

    /// Whether a description asks for views as sRGB that its format has not.
    pub(crate) fn check_srgb(desc: &BufferDesc) -> Result<(), NoSrgbFormat> {
        if desc.srgb_views && vk_srgb_format(desc.format).is_none() {
            return Err(NoSrgbFormat {
                format: desc.format,
            });
        }
        Ok(())
    }

    /// Pixels of which width and height are multiples: Vulkan has no images whose last group of pixels
    /// lacks a part of its chroma sample (VUID-VkImageCreateInfo-format-04712, -04713).
    pub(crate) fn whole_samples(format: Fourcc) -> Extent {
        // Subsamplings are 1, 2 or 4: the greatest is a multiple of all.
        let planes = format.info().map_or(&[][..], |info| info.planes).iter();
        planes.fold(Extent::new(1, 1), |all, plane| {
            Extent::new(
                all.width.max(plane.horizontal_subsampling.into()),
                all.height.max(plane.vertical_subsampling.into()),
            )
        })
    }

    /// Refuses an extent that is not whole.
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

    /// Whether the format has several planes, which may lie in memories of their own
    /// (VUID-VkImageCreateInfo-format-01577). Planes that a modifier adds do not count.
    pub(crate) fn is_multi_planar(&self) -> bool {
        self.fourcc.info().is_some_and(|info| info.planes.len() > 1)
    }

    /// The same image with each plane in a memory of its own.
    pub(crate) fn disjoint(&self) -> Self {
        let mut plan = self.clone();
        plan.flags |= vk::ImageCreateFlags::DISJOINT;
        plan
    }

    /// Whether each plane lies in a memory of its own.
    pub(crate) fn is_disjoint(&self) -> bool {
        self.flags.contains(vk::ImageCreateFlags::DISJOINT)
    }

    /// Whether the format list must be chained
    /// (VUID-VkImageCreateInfo-tiling-02353: a mutable image with modifiers has one).
    pub(crate) fn is_mutable(&self) -> bool {
        self.flags.contains(vk::ImageCreateFlags::MUTABLE_FORMAT)
    }

    /// Whether the usage allows views (VUID-VkImageViewCreateInfo-image-04441). Images of luma and
    /// chroma need a conversion that the application chooses, so it makes their views.
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
