//! The memory layout of the known pixel formats: RGB with 8, 10 and 16 bits and half floats, one and two
//! channels with 8 bits, and luma with chroma in two or three planes.
//!
//! Codes, names and the order of components are from `drm_fourcc.h`, bytes and subsampling from the
//! kernel's table in `drm_fourcc.c`. For an odd width or height the size of chroma planes is rounded up
//! (`drm_format_info_plane_width`, `drm_format_info_plane_height`): the last sample covers one pixel.

use std::str::FromStr;

use crate::image::fourcc::Fourcc;
use crate::image::layout_error::LayoutError;
use crate::image::rectangle::Rectangle;

/// One plane of a format: the size of a sample, and the subsampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlaneInfo {
    /// Bytes of one sample of this plane (`drm_format_info.char_per_block` with 1x1 blocks).
    pub bytes_per_sample: u8,
    /// Pixels per sample horizontally: 1, or 2 for subsampled chroma.
    pub horizontal_subsampling: u8,
    /// Pixels per sample vertically: 1, or 2 for subsampled chroma.
    pub vertical_subsampling: u8,
}

impl PlaneInfo {
    /// Bytes in a row of samples of an image that is `width` pixels wide. This is the smallest stride of a
    /// linear plane.
    pub fn row_bytes(&self, width: u32) -> u64 {
        u64::from(width.div_ceil(u32::from(self.horizontal_subsampling)))
            * u64::from(self.bytes_per_sample)
    }

    /// The samples of this plane that a rectangle of pixels touches. The rectangle must be inside the
    /// image.
    pub fn samples(&self, pixels: Rectangle) -> Rectangle {
        let cut = |start: i32, length: u32, subsampling: u8| {
            let (start, step) = (start.unsigned_abs(), u32::from(subsampling));
            let first = start / step;
            (first, (start + length).div_ceil(step) - first)
        };
        let (x, width) = cut(pixels.x, pixels.width, self.horizontal_subsampling);
        let (y, height) = cut(pixels.y, pixels.height, self.vertical_subsampling);
        let signed = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        Rectangle::new(signed(x), signed(y), width, height)
    }

    /// Number of rows of samples in an image that is `height` pixels high.
    pub fn rows(&self, height: u32) -> u32 {
        height.div_ceil(u32::from(self.vertical_subsampling))
    }
}

/// The memory layout of a format, as in the kernel's `__drm_format_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FormatInfo {
    /// The format.
    pub fourcc: Fourcc,
    /// The kernel's name of the format, without the `DRM_FORMAT_` prefix.
    pub name: &'static str,
    /// Whether a pixel carries alpha.
    pub has_alpha: bool,
    /// Whether the planes hold luma and chroma.
    pub is_yuv: bool,
    /// The planes, without those that a modifier adds.
    pub planes: &'static [PlaneInfo],
}

const fn plane(bytes: u8, horizontal: u8, vertical: u8) -> PlaneInfo {
    PlaneInfo {
        bytes_per_sample: bytes,
        horizontal_subsampling: horizontal,
        vertical_subsampling: vertical,
    }
}

const BYTES_1: &[PlaneInfo] = &[plane(1, 1, 1)];
const BYTES_2: &[PlaneInfo] = &[plane(2, 1, 1)];
const BYTES_3: &[PlaneInfo] = &[plane(3, 1, 1)];
const BYTES_4: &[PlaneInfo] = &[plane(4, 1, 1)];
const BYTES_8: &[PlaneInfo] = &[plane(8, 1, 1)];

macro_rules! format_table {
    ($($name:ident $alpha:literal $yuv:literal $planes:expr;)*) => {
        &[$(FormatInfo {
            fourcc: Fourcc::$name,
            name: stringify!($name),
            has_alpha: $alpha,
            is_yuv: $yuv,
            planes: $planes,
        }),*]
    };
}

const TABLE: &[FormatInfo] = format_table! {
    R8 false false BYTES_1;
    GR88 false false BYTES_2;
    RGB565 false false BYTES_2;
    RGB888 false false BYTES_3;
    BGR888 false false BYTES_3;
    XRGB8888 false false BYTES_4;
    ARGB8888 true false BYTES_4;
    XBGR8888 false false BYTES_4;
    ABGR8888 true false BYTES_4;
    XRGB2101010 false false BYTES_4;
    ARGB2101010 true false BYTES_4;
    XBGR2101010 false false BYTES_4;
    ABGR2101010 true false BYTES_4;
    XRGB16161616 false false BYTES_8;
    ARGB16161616 true false BYTES_8;
    XBGR16161616 false false BYTES_8;
    ABGR16161616 true false BYTES_8;
    XRGB16161616F false false BYTES_8;
    ARGB16161616F true false BYTES_8;
    XBGR16161616F false false BYTES_8;
    ABGR16161616F true false BYTES_8;
    NV12 false true &[plane(1, 1, 1), plane(2, 2, 2)];
    NV16 false true &[plane(1, 1, 1), plane(2, 2, 1)];
    P010 false true &[plane(2, 1, 1), plane(4, 2, 2)];
    YUV420 false true &[plane(1, 1, 1), plane(1, 2, 2), plane(1, 2, 2)];
};

impl FormatInfo {
    /// All known formats.
    pub fn all() -> &'static [Self] {
        TABLE
    }

    /// The entry for `fourcc`, if there is one.
    pub fn of(fourcc: Fourcc) -> Option<&'static Self> {
        TABLE.iter().find(|info| info.fourcc == fourcc)
    }
}

impl Fourcc {
    /// The memory layout of this format; `None` if the format is not known.
    pub fn info(self) -> Option<&'static FormatInfo> {
        FormatInfo::of(self)
    }
}

impl FromStr for Fourcc {
    type Err = LayoutError;

    /// Parses a code of one to four characters (`XR24`), or the kernel's name of a known format
    /// (`XRGB8888`).
    ///
    /// # Errors
    /// [`LayoutError::NotAFourcc`] if it is neither.
    fn from_str(text: &str) -> Result<Self, LayoutError> {
        if let Some(info) = FormatInfo::all().iter().find(|info| info.name == text) {
            return Ok(info.fourcc);
        }
        let bytes = text.as_bytes();
        if bytes.is_empty() || bytes.len() > 4 || !bytes.iter().all(u8::is_ascii_graphic) {
            return Err(LayoutError::NotAFourcc {
                text: text.to_owned(),
            });
        }
        let mut code = [b' '; 4];
        code[..bytes.len()].copy_from_slice(bytes);
        Ok(Self::new(u32::from_le_bytes(code)))
    }
}
