//! Formats as V4L2 and DRM write them, and how a frame lies in memory.

use std::os::fd::AsFd as _;

use dmashare::{
    ChromaSiting, Color, ColorRange, DmaBuf, DmaBufError, DmaBufMemory, Extent, Fourcc,
    MatrixCoefficients, Modifier, PlaneLayout,
};

use crate::device::V4l2Device;
use crate::error::V4l2Error;
use crate::sys::{BufferType, PixFormat, set_format};

/// Where V4L2's code (`V4L2_PIX_FMT_*`) is not DRM's for the same bytes. The others that are known here
/// are the same: V4L2 names 32-bit formats in the order of their bytes, DRM in that of a word's bits,
/// and they agreed on the letters ("XR24": bytes blue, green, red, unused).
const OTHER_CODES: [(Fourcc, &[u8; 4]); 4] = [
    (Fourcc::R8, b"GREY"),
    (Fourcc::RGB565, b"RGBP"),
    (Fourcc::RGB888, b"BGR3"),
    (Fourcc::BGR888, b"RGB3"),
];

/// Those that are the same and that V4L2 has (`videodev2.h`).
const SAME_CODES: [Fourcc; 8] = [
    Fourcc::XRGB8888,
    Fourcc::ARGB8888,
    Fourcc::XBGR8888,
    Fourcc::ABGR8888,
    Fourcc::NV12,
    Fourcc::NV16,
    Fourcc::P010,
    Fourcc::YUV420,
];

/// `V4L2_PIX_FMT_FWHT`: frames of the codec vicodec.
pub(crate) const FWHT: u32 = u32::from_le_bytes(*b"FWHT");

/// V4L2's code for a format, if it has one.
pub(crate) fn code(format: Fourcc) -> Option<u32> {
    let other = OTHER_CODES.iter().find(|(known, _)| *known == format);
    other
        .map(|(_, code)| u32::from_le_bytes(**code))
        .or_else(|| SAME_CODES.contains(&format).then_some(format.as_raw()))
}

/// The format with this code, if it is known here.
fn format_of(code: u32) -> Option<Fourcc> {
    let other = OTHER_CODES
        .iter()
        .find(|(_, other)| u32::from_le_bytes(**other) == code);
    let same = || SAME_CODES.into_iter().find(|same| same.as_raw() == code);
    other.map(|(format, _)| *format).or_else(same)
}

/// The formats of a device's queue that are known here.
pub(crate) fn offered(device: &V4l2Device, queue: BufferType) -> Vec<Fourcc> {
    device
        .codes(queue)
        .into_iter()
        .filter_map(format_of)
        .collect()
}

impl V4l2Device {
    /// The formats that a camera captures or a decoder writes, of those that are known here. A node
    /// without such a queue has none.
    pub fn formats_out(&self) -> Vec<Fourcc> {
        offered(self, BufferType::Capture)
    }

    /// The formats that a video output or an encoder reads, of those that are known here.
    pub fn formats_in(&self) -> Vec<Fourcc> {
        offered(self, BufferType::Output)
    }
}

/// A frame of uncompressed video, as a driver has agreed to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoFormat {
    /// Pixel format.
    pub format: Fourcc,
    /// Size in pixels.
    pub extent: Extent,
    /// Bytes between rows of the first plane; those of further planes follow from it.
    pub stride: u32,
    /// Bytes of memory that a frame takes.
    pub size: u32,
    /// What the pixel values mean.
    pub color: Color,
}

impl VideoFormat {
    /// Sets the format of a queue; the driver must take it as it is.
    pub(crate) fn set(
        device: &V4l2Device,
        queue: BufferType,
        format: Fourcc,
        extent: Extent,
    ) -> Result<(Self, PixFormat), V4l2Error> {
        let offered = offered(device, queue);
        let code = code(format).filter(|_| offered.contains(&format));
        let code = code.ok_or_else(|| V4l2Error::Format {
            device: device.name().to_owned(),
            asked: format,
            offered,
        })?;
        let asked = PixFormat::new(extent.width, extent.height, code);
        let pix =
            set_format(device.as_fd(), queue, asked).map_err(device.failed("VIDIOC_S_FMT"))?;
        let nearest = Extent::new(pix.width, pix.height);
        if nearest != extent {
            return Err(V4l2Error::Size {
                device: device.name().to_owned(),
                format,
                asked: extent,
                nearest,
            });
        }
        if pix.pixel_format != code || pix.size_image == 0 {
            let what = format!("it enumerates {format} and sets another format");
            return Err(device.misbehaves(what));
        }
        let is_yuv = format.info().is_some_and(|info| info.is_yuv);
        let color = match is_yuv {
            true => yuv_color(&pix),
            false => Color::default(),
        };
        let this = Self {
            format,
            extent,
            stride: pix.bytes_per_line,
            size: pix.size_image,
            color,
        };
        Ok((this, pix))
    }

    /// The planes, one after the other as the single-planar interface has them: rows of chroma are as
    /// much narrower as their samples are fewer.
    pub fn planes(&self) -> Vec<PlaneLayout> {
        let planes = self.format.info().map_or(&[][..], |info| info.planes);
        let mut offset = 0;
        planes
            .iter()
            .map(|plane| {
                let first = u32::from(planes[0].bytes_per_sample);
                let stride = self.stride * u32::from(plane.bytes_per_sample)
                    / (first * u32::from(plane.horizontal_subsampling));
                let layout = PlaneLayout {
                    memory: 0,
                    offset,
                    stride,
                };
                offset += u64::from(stride) * u64::from(plane.rows(self.extent.height));
                layout
            })
            .collect()
    }

    /// A frame of this format in a dma-buf.
    pub(crate) fn dmabuf(&self, memory: DmaBufMemory) -> Result<DmaBuf, DmaBufError> {
        DmaBuf::from_memories(
            self.format,
            self.extent,
            Modifier::LINEAR,
            &self.planes(),
            [memory],
        )
    }
}

/// What the values of a YUV frame mean: `V4L2_MAP_YCBCR_ENC_DEFAULT` and
/// `V4L2_MAP_QUANTIZATION_DEFAULT` of `videodev2.h` where the driver leaves it to the colorspace.
fn yuv_color(pix: &PixFormat) -> Color {
    const REC709: u32 = 3;
    const DCI_P3: u32 = 12;
    const JPEG: u32 = 7;
    const BT2020: u32 = 10;
    let matrix = match (pix.ycbcr_encoding, pix.colorspace) {
        (2 | 4, _) | (0, REC709 | DCI_P3) => MatrixCoefficients::Bt709,
        (6, _) | (0, BT2020) => MatrixCoefficients::Bt2020,
        _ => MatrixCoefficients::Bt601,
    };
    let range = match (pix.quantization, pix.colorspace) {
        (1, _) | (0, JPEG) => ColorRange::Full,
        _ => ColorRange::Limited,
    };
    let mut color = Color::default();
    color.matrix = matrix;
    color.range = range;
    color.siting = ChromaSiting::Cosited;
    color
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_videodev2() {
        let code = |format| code(format).map(u32::to_le_bytes);
        assert_eq!(code(Fourcc::XRGB8888).as_ref(), Some(b"XR24"));
        assert_eq!(code(Fourcc::NV12).as_ref(), Some(b"NV12"));
        assert_eq!(code(Fourcc::RGB565).as_ref(), Some(b"RGBP"));
        assert_eq!(code(Fourcc::XRGB2101010), None);
        for format in SAME_CODES.into_iter().chain(OTHER_CODES.map(|(f, _)| f)) {
            assert_eq!(format_of(super::code(format).unwrap()), Some(format));
        }
    }

    #[test]
    fn planes_follow_each_other() {
        let frame = |format| VideoFormat {
            format,
            extent: Extent::new(640, 360),
            stride: 640,
            size: 640 * 360 * 3 / 2,
            color: Color::default(),
        };
        let places = |format| -> Vec<(u64, u32)> {
            let planes = frame(format).planes();
            planes
                .iter()
                .map(|plane| (plane.offset, plane.stride))
                .collect()
        };
        assert_eq!(places(Fourcc::NV12), [(0, 640), (230_400, 640)]);
        assert_eq!(places(Fourcc::NV16), [(0, 640), (230_400, 640)]);
        let chroma = 230_400 + 320 * 180;
        assert_eq!(
            places(Fourcc::YUV420),
            [(0, 640), (230_400, 320), (chroma, 320)]
        );
    }

    #[test]
    fn color_follows_the_colorspace_unless_told() {
        let color = |colorspace, ycbcr_encoding, quantization| {
            let color = yuv_color(&PixFormat {
                colorspace,
                ycbcr_encoding,
                quantization,
                ..PixFormat::default()
            });
            (color.matrix, color.range)
        };
        use ColorRange::{Full, Limited};
        use MatrixCoefficients::{Bt601, Bt709, Bt2020};
        assert_eq!(color(8, 0, 0), (Bt601, Limited));
        assert_eq!(color(3, 0, 0), (Bt709, Limited));
        assert_eq!(color(10, 0, 0), (Bt2020, Limited));
        assert_eq!(color(7, 0, 0), (Bt601, Full));
        assert_eq!(color(3, 1, 1), (Bt601, Full));
    }
}
