//! The description from which an application creates a buffer.

use std::fmt;

use bitflags::bitflags;

use crate::image::extent::Extent;
use crate::image::fourcc::Fourcc;
use crate::image::hdr_metadata::HdrStaticMetadata;
use crate::image::layout_error::LayoutError;

bitflags! {
    /// What a buffer is used for, by all devices and processes that share it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Usage: u32 {
        /// Rendered to as a color attachment.
        const RENDER = 1 << 0;
        /// Sampled in shaders.
        const SAMPLE = 1 << 1;
        /// Read or written as a storage image.
        const STORAGE = 1 << 2;
        /// Source of copies and blits.
        const TRANSFER_SOURCE = 1 << 3;
        /// Destination of copies, blits and clears.
        const TRANSFER_DESTINATION = 1 << 4;
        /// Read by a display.
        const SCANOUT = 1 << 5;
        /// Read by a video encoder.
        const ENCODE = 1 << 6;
        /// Read by the CPU.
        const CPU_READ = 1 << 7;
        /// Written by the CPU.
        const CPU_WRITE = 1 << 8;
    }
}

impl fmt::Display for Usage {
    /// The uses by name (`RENDER | SCANOUT`), or `no use`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no use");
        }
        bitflags::parser::to_writer(self, f)
    }
}

/// What the alpha channel means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AlphaMode {
    /// Color is already multiplied by alpha (KMS "Pre-multiplied", the default there).
    #[default]
    PreMultiplied,
    /// Color is not multiplied by alpha (KMS "Coverage").
    Coverage,
    /// Alpha is ignored (KMS "None").
    Opaque,
}

/// Color primaries (ITU-T H.273).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Primaries {
    /// BT.709 and sRGB.
    #[default]
    Bt709,
    /// BT.601, 525 lines.
    Bt601,
    /// BT.2020.
    Bt2020,
    /// Display P3.
    DisplayP3,
}

/// Transfer function (ITU-T H.273).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransferFunction {
    /// sRGB.
    #[default]
    Srgb,
    /// BT.709.
    Bt709,
    /// Linear light.
    Linear,
    /// SMPTE ST 2084 (PQ).
    Pq,
    /// Hybrid log-gamma.
    Hlg,
}

/// How luma and chroma are computed from RGB (KMS `COLOR_ENCODING`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MatrixCoefficients {
    /// The planes hold RGB.
    #[default]
    Identity,
    /// BT.601.
    Bt601,
    /// BT.709.
    Bt709,
    /// BT.2020, non-constant luminance.
    Bt2020,
}

/// Which code values are black and white (KMS `COLOR_RANGE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ColorRange {
    /// All code values are used.
    #[default]
    Full,
    /// Video levels: 16 to 235 for 8-bit luma.
    Limited,
}

/// Where a chroma sample sits between luma samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChromaSiting {
    /// At the position of an even luma sample.
    #[default]
    Cosited,
    /// Half way between luma samples.
    Midpoint,
}

/// How pixel values become colors. Start from [`Color::default`] and set members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Color {
    /// Primaries.
    pub primaries: Primaries,
    /// Transfer function.
    pub transfer: TransferFunction,
    /// Luma and chroma coefficients.
    pub matrix: MatrixCoefficients,
    /// Code value range.
    pub range: ColorRange,
    /// Chroma position.
    pub siting: ChromaSiting,
}

/// Describes a buffer to an exporter: a named image of a size and format, for a set of uses.
///
/// The name is required. Its first 31 bytes identify a leaked buffer in `/proc/*/fdinfo` and
/// `debugfs/dma_buf/bufinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BufferDesc {
    /// Name in reports and in the kernel's lists.
    pub name: String,
    /// Size in pixels.
    pub extent: Extent,
    /// Pixel format.
    pub format: Fourcc,
    /// Formats with the same bytes per texel that views may use besides `format`.
    pub view_formats: Vec<Fourcc>,
    /// Whether views may also read and write the pixels as sRGB, converting to and from linear light
    /// (`VK_FORMAT_*_SRGB`). The DRM format is the same for both.
    pub srgb_views: bool,
    /// All uses of the buffer, by any device.
    pub usage: Usage,
    /// How alpha is interpreted.
    pub alpha: AlphaMode,
    /// How pixel values become colors.
    pub color: Color,
    /// Metadata of a high dynamic range picture, if it is known.
    pub hdr: Option<HdrStaticMetadata>,
    /// Whether the memory must be unreadable for the CPU and unprotected queues. Refused for now with
    /// [`ExportError::ProtectedMemory`](crate::ExportError::ProtectedMemory).
    pub protected: bool,
}

impl BufferDesc {
    /// Makes a description with pre-multiplied alpha, sRGB color and no other view formats.
    pub fn new(name: impl Into<String>, extent: Extent, format: Fourcc, usage: Usage) -> Self {
        Self {
            name: name.into(),
            extent,
            format,
            view_formats: Vec::new(),
            srgb_views: false,
            usage,
            alpha: AlphaMode::default(),
            color: Color::default(),
            hdr: None,
            protected: false,
        }
    }

    /// Checks what does not depend on a device: the name is not empty, the extent is not zero, and the
    /// view formats have pixels of the same size.
    ///
    /// # Errors
    /// [`LayoutError::EmptyName`], [`LayoutError::EmptyExtent`], [`LayoutError::ViewFormat`].
    pub fn validate(&self) -> Result<(), LayoutError> {
        if self.name.is_empty() {
            return Err(LayoutError::EmptyName);
        }
        if self.extent.width == 0 || self.extent.height == 0 {
            return Err(LayoutError::EmptyExtent {
                extent: self.extent,
            });
        }
        let planes = |format: Fourcc| format.info().map(|info| info.planes);
        for &view in &self.view_formats {
            if planes(view).is_none() || planes(view) != planes(self.format) {
                return Err(LayoutError::ViewFormat {
                    format: self.format,
                    view,
                });
            }
        }
        Ok(())
    }

    /// Size of the image's rows in bytes, without padding; 0 for an unknown format.
    pub(crate) fn least_bytes(&self) -> u64 {
        let planes = self.format.info().map_or(&[][..], |info| info.planes);
        let bytes = planes.iter().map(|plane| {
            let rows = u64::from(plane.rows(self.extent.height));
            plane.row_bytes(self.extent.width).saturating_mul(rows)
        });
        bytes.fold(0, u64::saturating_add)
    }
}
