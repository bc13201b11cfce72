//! Sampling of luma and chroma as RGB: the parameters of a `VkSamplerYcbcrConversion`.

use std::fmt;

use ash::vk;
use dmashare::{ChromaSiting, Color, ColorRange, Extent, Fourcc, MatrixCoefficients};

use crate::core::barrier::WHOLE_IMAGE;
use crate::error::YcbcrError;
use crate::failure::Failure;
use crate::image::Image;
use crate::physical_device::image_plan::ImagePlan;

/// How a device samples an image of luma and chroma as RGB: the create infos of the conversion, the
/// sampler and the views. Returned by [`Image::ycbcr`].
///
/// It holds no Vulkan objects. The application creates and destroys them, and may share one
/// conversion and one sampler among all images for which this value is equal:
///
/// ```no_run
/// # use dmashare::{Color, Mapping};
/// # use dmashare_vk::{ash::vk, Device};
/// # unsafe fn views(device: &Device, mapping: &Mapping<Device>, color: &Color)
/// #     -> Result<(), Box<dyn std::error::Error>> {
/// let image = mapping.object();
/// let ycbcr = image.ycbcr(color, vk::Filter::LINEAR)?;
/// let raw = device.raw();
/// let conversion = unsafe { raw.create_sampler_ycbcr_conversion(&ycbcr.conversion_info(), None) }?;
/// let mut chained = ycbcr.chained(conversion);
/// // A sampler with a conversion is an immutable one of its binding, a combined image sampler
/// // ("Descriptor Set Layout").
/// let sampler = ycbcr.sampler_info().push_next(&mut chained);
/// let sampler = unsafe { raw.create_sampler(&sampler, None) }?;
/// let mut chained = ycbcr.chained(conversion);
/// let view = ycbcr.view_info(image).push_next(&mut chained);
/// let view = unsafe { raw.create_image_view(&view, None) }?;
/// # Ok(()) }
/// ```
///
/// The view belongs to one mapping's image: destroy it with the mapping, after the work that used
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct YcbcrSampling {
    fourcc: Fourcc,
    format: vk::Format,
    model: vk::SamplerYcbcrModelConversion,
    range: vk::SamplerYcbcrRange,
    siting: vk::ChromaLocation,
    filter: vk::Filter,
    descriptors: u32,
}

impl YcbcrSampling {
    /// The create info of the conversion (`vkCreateSamplerYcbcrConversion`). Chroma is
    /// reconstructed with the sampler's filter, where the device does so implicitly.
    pub fn conversion_info(&self) -> vk::SamplerYcbcrConversionCreateInfo<'static> {
        vk::SamplerYcbcrConversionCreateInfo::default()
            .format(self.format)
            .ycbcr_model(self.model)
            .ycbcr_range(self.range)
            .x_chroma_offset(self.siting)
            .y_chroma_offset(self.siting)
            .chroma_filter(self.filter)
    }

    /// The structure that ties a sampler or a view to the conversion; chain it to both.
    pub fn chained(
        &self,
        conversion: vk::SamplerYcbcrConversion,
    ) -> vk::SamplerYcbcrConversionInfo<'static> {
        vk::SamplerYcbcrConversionInfo::default().conversion(conversion)
    }

    /// The create info of the sampler; chain the conversion to it. It has one filter for luma and
    /// chroma (VUID-VkSamplerCreateInfo-minFilter-01645) and clamps to the edge
    /// (-addressModeU-01646).
    pub fn sampler_info(&self) -> vk::SamplerCreateInfo<'static> {
        vk::SamplerCreateInfo::default()
            .mag_filter(self.filter)
            .min_filter(self.filter)
            .mipmap_mode(vk::SamplerMipmapMode::NEAREST)
            .address_mode_u(vk::SamplerAddressMode::CLAMP_TO_EDGE)
            .address_mode_v(vk::SamplerAddressMode::CLAMP_TO_EDGE)
            .address_mode_w(vk::SamplerAddressMode::CLAMP_TO_EDGE)
    }

    /// The create info of a view of `image`; chain the conversion to it. `image` may be any image
    /// whose [`Image::ycbcr`] returns an equal value.
    pub fn view_info(&self, image: &Image) -> vk::ImageViewCreateInfo<'static> {
        vk::ImageViewCreateInfo::default()
            .image(image.raw())
            .view_type(vk::ImageViewType::TYPE_2D)
            .format(self.format)
            .subresource_range(WHOLE_IMAGE)
    }

    /// How many descriptors of a pool one binding needs (`combinedImageSamplerDescriptorCount`).
    pub fn descriptors(&self) -> u32 {
        self.descriptors
    }
}

impl fmt::Display for YcbcrSampling {
    /// Format, matrix, range, siting and filter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} as {:?}, {:?}, chroma {:?}, filter {:?}",
            self.fourcc, self.model, self.range, self.siting, self.filter
        )
    }
}

fn model(color: &Color) -> Option<vk::SamplerYcbcrModelConversion> {
    match color.matrix {
        MatrixCoefficients::Bt601 => Some(vk::SamplerYcbcrModelConversion::YCBCR_601),
        MatrixCoefficients::Bt709 => Some(vk::SamplerYcbcrModelConversion::YCBCR_709),
        MatrixCoefficients::Bt2020 => Some(vk::SamplerYcbcrModelConversion::YCBCR_2020),
        _ => None,
    }
}

fn range(range: ColorRange) -> vk::SamplerYcbcrRange {
    match range {
        ColorRange::Full => vk::SamplerYcbcrRange::ITU_FULL,
        ColorRange::Limited => vk::SamplerYcbcrRange::ITU_NARROW,
    }
}

/// The chroma sitings that the driver supports.
fn sitings(features: vk::FormatFeatureFlags) -> Vec<ChromaSiting> {
    [
        (
            vk::FormatFeatureFlags::COSITED_CHROMA_SAMPLES,
            ChromaSiting::Cosited,
        ),
        (
            vk::FormatFeatureFlags::MIDPOINT_CHROMA_SAMPLES,
            ChromaSiting::Midpoint,
        ),
    ]
    .into_iter()
    .filter(|(feature, _)| features.contains(*feature))
    .map(|(_, siting)| siting)
    .collect()
}

impl Image {
    /// How the device samples this image as RGB. `color` is the buffer description's: matrix, range
    /// and chroma siting. `filter` applies to luma and chroma.
    ///
    /// Uses the format features of the image's own modifier. It queries the driver twice, so keep
    /// the result with the mapping and do not ask every frame.
    ///
    /// # Errors
    /// - [`YcbcrError::NotLumaAndChroma`]: the format is RGB; sample it through the image's own
    ///   views.
    /// - [`YcbcrError::NotSampled`]: the buffer's description does not include `SAMPLE`.
    /// - [`YcbcrError::FeatureDisabled`]: `samplerYcbcrConversion` is unsupported or was not
    ///   enabled.
    /// - [`YcbcrError::MatrixUnsaid`]: the description says that the planes hold RGB.
    /// - [`YcbcrError::Siting`], [`YcbcrError::LinearFilter`]: the device lacks the format feature.
    /// - [`YcbcrError::Device`]: the driver cannot answer.
    pub fn ycbcr(&self, color: &Color, filter: vk::Filter) -> Result<YcbcrSampling, YcbcrError> {
        let core = &self.inner.core;
        let (device, format) = (|| core.name.clone(), self.format());
        if !format.info().is_some_and(|info| info.is_yuv) {
            return Err(YcbcrError::NotLumaAndChroma { format });
        }
        if !self.usage().contains(vk::ImageUsageFlags::SAMPLED) {
            return Err(YcbcrError::NotSampled { format });
        }
        if !core.sampler_ycbcr_conversion {
            return Err(YcbcrError::FeatureDisabled { device: device() });
        }
        let Some(model) = model(color) else {
            return Err(YcbcrError::MatrixUnsaid { format });
        };
        let features = core
            .physical
            .modifier_features(self.vk_format(), self.modifier());
        let offered = sitings(features);
        // Without subsampling, siting has no meaning.
        if self.is_subsampled() && !offered.contains(&color.siting) {
            return Err(YcbcrError::Siting {
                device: device(),
                format,
                asked: color.siting,
                offered,
            });
        }
        let linear = vk::FormatFeatureFlags::SAMPLED_IMAGE_FILTER_LINEAR
            | vk::FormatFeatureFlags::SAMPLED_IMAGE_YCBCR_CONVERSION_LINEAR_FILTER;
        if filter == vk::Filter::LINEAR && !features.contains(linear) {
            return Err(YcbcrError::LinearFilter {
                device: device(),
                format,
            });
        }
        let descriptors = core
            .physical
            .combined_descriptors(&self.inner.plan, self.modifier())
            .map_err(|failure: Failure| YcbcrError::Device {
                operation: failure.operation,
                device: device(),
                source: failure.source,
            })?;
        Ok(YcbcrSampling {
            fourcc: format,
            format: self.vk_format(),
            model,
            range: range(color.range),
            siting: match color.siting {
                ChromaSiting::Midpoint => vk::ChromaLocation::MIDPOINT,
                _ => vk::ChromaLocation::COSITED_EVEN,
            },
            filter,
            descriptors,
        })
    }

    fn is_subsampled(&self) -> bool {
        ImagePlan::whole_samples(self.format()) != Extent::new(1, 1)
    }
}
