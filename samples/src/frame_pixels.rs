//! An image as the CPU reads it, and the colors that its bytes mean.

use anyhow::{Context as _, Result, bail};
use dmashare::{Access, Color, ColorRange, CpuMapping, Extent, Fourcc, MatrixCoefficients};

use crate::pixel_format::{PixelFormat, little_endian};

/// A copy of an image: its planes' rows, without padding.
#[derive(Clone, Debug)]
pub struct FramePixels {
    format: Fourcc,
    extent: Extent,
    color: Color,
    planes: Vec<Vec<u8>>,
    /// How many steps of a 16-bit word are one of eight bits.
    word_step: f64,
}

/// Eight bits a channel: red, green, blue.
pub type Rgb8 = [u8; 3];

impl FramePixels {
    /// Whether the colors of this format are known: YUV in two or three planes, and RGB of eight bits.
    pub fn knows(format: Fourcc) -> bool {
        [Fourcc::NV12, Fourcc::NV16, Fourcc::P010, Fourcc::YUV420].contains(&format)
            || PixelFormat::of(format).is_some_and(|known| known.bytes() == 4 && !known.is_deep())
    }

    /// Reads an image. Fences that only the library knows must be over.
    ///
    /// # Errors
    /// As [`CpuMapping::begin`]; the format is not in the library's table.
    pub fn read(mapping: &mut CpuMapping, color: Color) -> Result<Self> {
        let dmabuf = mapping.dmabuf().clone();
        let (format, extent) = (dmabuf.format(), dmabuf.extent());
        let info = format.info().context("the format is not known")?;
        let access = mapping
            .begin(Access::Read)
            .context("the buffer cannot be read by the CPU")?;
        let mut planes = Vec::new();
        for (plane, info) in info.planes.iter().enumerate() {
            let row_bytes = access.row_bytes(plane)?;
            let mut bytes = vec![0; row_bytes * info.rows(extent.height) as usize];
            for (row, destination) in (0..).zip(bytes.chunks_exact_mut(row_bytes)) {
                access.read_row(plane, row, destination)?;
            }
            planes.push(bytes);
        }
        Ok(Self {
            format,
            extent,
            color,
            planes,
            word_step: 256.0,
        })
    }

    /// The same, with 16-bit words whose black, white and grey are `step` times those of eight bits. It is
    /// 256 by the standard (ITU-T H.273, equations 20 to 31); vkms has 257 (`vkms_formats.c`).
    #[must_use]
    pub fn with_word_step(mut self, step: f64) -> Self {
        self.word_step = step;
        self
    }

    /// Size in pixels.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// How far the channels that a display makes of it may be from [`pixel`](Self::pixel): displays
    /// convert in fixed point.
    pub fn tolerance(&self) -> u8 {
        u8::from(self.format.info().is_some_and(|info| info.is_yuv))
    }

    /// Bytes of the planes, one after the other.
    pub fn bytes(&self) -> Vec<u8> {
        self.planes.concat()
    }

    /// The color of a pixel: for YUV by the formula of its matrix and range (ITU-T H.273, equations 38
    /// to 56), with the chroma sample that belongs to it.
    ///
    /// # Errors
    /// The format is neither YUV that is [known](Self::knows) nor RGB, or the matrix is none of YUV.
    pub fn pixel(&self, x: u32, y: u32) -> Result<Rgb8> {
        let (x, y) = (x as usize, y as usize);
        let width = self.extent.width as usize;
        let at = y * width + x;
        let chroma_row = if self.format == Fourcc::NV16 {
            y
        } else {
            y / 2
        };
        let chroma_at = chroma_row * width.div_ceil(2) + x / 2;
        let byte = |plane: usize, at: usize| f64::from(self.planes[plane][at]);
        // Ten bits at the top of each word.
        let word = |plane: usize, at: usize| {
            let bytes = &self.planes[plane][2 * at..2 * at + 2];
            f64::from(u16::from_le_bytes([bytes[0], bytes[1]]) & 0xffc0) / self.word_step
        };
        let (cb_at, cr_at) = (2 * chroma_at, 2 * chroma_at + 1);
        let (luma, cb, cr) = match self.format {
            Fourcc::NV12 | Fourcc::NV16 => (byte(0, at), byte(1, cb_at), byte(1, cr_at)),
            Fourcc::P010 => (word(0, at), word(1, cb_at), word(1, cr_at)),
            Fourcc::YUV420 => (byte(0, at), byte(1, chroma_at), byte(2, chroma_at)),
            format => {
                let format = PixelFormat::of(format).context("the colors are not known")?;
                let at = at * format.bytes();
                let bytes = &self.planes[0][at..at + format.bytes()];
                return Ok(format.decode(little_endian(bytes)).eight_bits());
            }
        };
        let (red_weight, blue_weight) = match self.color.matrix {
            MatrixCoefficients::Bt601 => (0.299, 0.114),
            MatrixCoefficients::Bt709 => (0.2126, 0.0722),
            MatrixCoefficients::Bt2020 => (0.2627, 0.0593),
            other => bail!("YUV cannot have the matrix {other:?}"),
        };
        let (black, luma_range, chroma_range) = match self.color.range {
            ColorRange::Full => (0.0, 255.0, 255.0),
            ColorRange::Limited => (16.0, 219.0, 224.0),
        };
        let luma = (luma - black) / luma_range;
        let chroma = |sample: f64| (sample - 128.0) / chroma_range;
        let red = luma + 2.0 * (1.0 - red_weight) * chroma(cr);
        let blue = luma + 2.0 * (1.0 - blue_weight) * chroma(cb);
        let green_weight = 1.0 - red_weight - blue_weight;
        let green = (luma - red_weight * red - blue_weight * blue) / green_weight;
        Ok([red, green, blue].map(eight_bits))
    }
}

/// The nearest of 256 values.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is within 0 and 255 before it is converted"
)]
fn eight_bits(value: f64) -> u8 {
    (value * 255.0).round().clamp(0.0, 255.0) as u8
}

/// Whether all channels are within a tolerance.
pub fn near(found: Rgb8, expected: Rgb8, tolerance: u8) -> bool {
    let mut pairs = found.into_iter().zip(expected);
    pairs.all(|(found, expected)| found.abs_diff(expected) <= tolerance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(luma: u8, cb: u8, cr: u8, matrix: MatrixCoefficients, range: ColorRange) -> Rgb8 {
        let mut color = Color::default();
        color.matrix = matrix;
        color.range = range;
        let pixels = FramePixels {
            format: Fourcc::NV12,
            extent: Extent::new(2, 2),
            color,
            planes: vec![vec![luma; 4], vec![cb, cr]],
            word_step: 256.0,
        };
        pixels.pixel(1, 1).unwrap()
    }

    #[test]
    fn known_colors_of_the_standards() {
        use ColorRange::{Full, Limited};
        use MatrixCoefficients::{Bt601, Bt709};
        assert_eq!(frame(235, 128, 128, Bt601, Limited), [255, 255, 255]);
        assert_eq!(frame(16, 128, 128, Bt709, Limited), [0, 0, 0]);
        assert_eq!(frame(255, 128, 128, Bt601, Full), [255, 255, 255]);
        // Pure red and blue of the two matrices, as their tables give them.
        assert!(near(frame(81, 90, 240, Bt601, Limited), [255, 0, 0], 1));
        assert!(near(frame(41, 240, 110, Bt601, Limited), [0, 0, 255], 1));
        assert!(near(frame(63, 102, 240, Bt709, Limited), [255, 0, 0], 2));
        assert!(!near(frame(81, 90, 240, Bt709, Limited), [255, 0, 0], 2));
    }
}
