//! Pixels that were read back, to be compared with the picture and written to a PNG file.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use dmashare::{Color, CpuMapping, Extent, Fourcc};
use serde::{Deserialize, Serialize};

use crate::frame_pixels::FramePixels;
use crate::picture::{Picture, Rgb};
use crate::pixel_format::{PixelFormat, little_endian};

/// A copy of an image's pixels, row after row without padding.
#[derive(Clone, Debug)]
pub struct Capture {
    format: &'static PixelFormat,
    extent: Extent,
    bytes: Vec<u8>,
}

impl Capture {
    /// Wraps packed rows, as [`dmashare_vk::Transfer::download`] gives them.
    ///
    /// # Errors
    /// The format is not one of [`PixelFormat::all`], or the extent has another number of bytes.
    pub fn from_rows(format: Fourcc, extent: Extent, bytes: Vec<u8>) -> Result<Self> {
        let format = PixelFormat::of(format)
            .with_context(|| format!("pixels of format {format} cannot be compared"))?;
        let expected = extent.width as usize * extent.height as usize * format.bytes();
        ensure!(
            bytes.len() == expected,
            "{extent} pixels of {} are {expected} bytes, not {}",
            format.fourcc(),
            bytes.len()
        );
        Ok(Self {
            format,
            extent,
            bytes,
        })
    }

    /// Reads a linear dma-buf with the CPU. Fences that only the library knows must be over.
    ///
    /// # Errors
    /// As [`CpuMapping::begin`]; the format is not one of [`PixelFormat::all`].
    pub fn read(mapping: &mut CpuMapping) -> Result<Self> {
        let (format, extent) = (mapping.dmabuf().format(), mapping.dmabuf().extent());
        let pixels = FramePixels::read(mapping, Color::default())?;
        Self::from_rows(format, extent, pixels.bytes())
    }

    /// Compares every pixel with the picture, as it looks after it was shown in `shown_as`.
    ///
    /// # Panics
    /// If the picture has another extent.
    pub fn compare(&self, picture: &Picture, shown_as: &PixelFormat) -> Comparison {
        assert_eq!(
            picture.extent(),
            self.extent,
            "compared with another extent"
        );
        let mask = self.format.mask();
        let mut comparison = Comparison::default();
        let rows = self.bytes.chunks_exact(self.row_bytes());
        for (y, row) in (0..).zip(rows) {
            for (x, bytes) in (0..).zip(row.chunks_exact(self.format.bytes())) {
                let color = picture.pixel(x, y);
                let expected = self.format.encode_shown(color, shown_as);
                let found = little_endian(bytes) & mask;
                if found != expected {
                    comparison
                        .wrong(|| format!("at ({x}, {y}) {found:#x} instead of {expected:#x}"));
                }
            }
        }
        comparison.pixels_checked = u64::from(self.extent.width) * u64::from(self.extent.height);
        comparison
    }

    /// Size in pixels.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// The color of a pixel, each channel spread over 16 bits.
    ///
    /// # Panics
    /// If there is no such pixel.
    pub fn pixel(&self, x: u32, y: u32) -> Rgb {
        assert!(x < self.extent.width, "column {x} of {}", self.extent);
        let start = y as usize * self.row_bytes() + x as usize * self.format.bytes();
        let bytes = &self.bytes[start..start + self.format.bytes()];
        self.format.decode(little_endian(bytes))
    }

    /// Writes a PNG file: RGB of 8 bits, or of 16 where the format has more than 8.
    ///
    /// # Errors
    /// The file cannot be created or written.
    pub fn write_png(&self, path: &Path) -> Result<()> {
        let context = || format!("{} cannot be written", path.display());
        let file = File::create(path).with_context(context)?;
        let Extent { width, height } = self.extent;
        let mut encoder = png::Encoder::new(BufWriter::new(file), width, height);
        encoder.set_color(png::ColorType::Rgb);
        let deep = self.format.is_deep();
        encoder.set_depth(if deep {
            png::BitDepth::Sixteen
        } else {
            png::BitDepth::Eight
        });
        encoder.set_compression(png::Compression::Fast);
        let mut samples = Vec::with_capacity(self.bytes.len() * 3);
        for pixel in self.bytes.chunks_exact(self.format.bytes()) {
            let color = self.format.decode(little_endian(pixel));
            for channel in [color.red, color.green, color.blue] {
                // Big-endian, so that the first byte is the 8-bit value.
                let bytes = channel.to_be_bytes();
                samples.extend_from_slice(&bytes[..if deep { 2 } else { 1 }]);
            }
        }
        let mut writer = encoder.write_header().with_context(context)?;
        writer.write_image_data(&samples).with_context(context)?;
        writer.finish().with_context(context)
    }

    fn row_bytes(&self) -> usize {
        self.extent.width as usize * self.format.bytes()
    }
}

/// What a comparison of pixels found. Every report has these fields as keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Pixels that were compared.
    pub pixels_checked: u64,
    /// Pixels that differ.
    pub pixel_errors: u64,
    /// The first of them.
    pub first_pixel_error: Option<String>,
}

impl Comparison {
    /// Counts a pixel that differs, and keeps the description of the first one.
    pub fn wrong(&mut self, describe: impl FnOnce() -> String) {
        self.pixel_errors += 1;
        self.first_pixel_error.get_or_insert_with(describe);
    }

    /// Adds the results of another image; the earlier first error stays.
    pub fn add(&mut self, other: Self) {
        self.pixels_checked += other.pixels_checked;
        self.pixel_errors += other.pixel_errors;
        self.first_pixel_error = self.first_pixel_error.take().or(other.first_pixel_error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture_of(picture: &Picture, format: Fourcc) -> Capture {
        let pixels = PixelFormat::of(format).unwrap();
        let mut bytes = pixels.rows(picture);
        // Padding bits are set: they must not matter.
        let padding = (!pixels.mask()).to_le_bytes();
        for pixel in bytes.chunks_exact_mut(pixels.bytes()) {
            pixel
                .iter_mut()
                .zip(padding)
                .for_each(|(byte, padding)| *byte |= padding);
        }
        Capture::from_rows(format, picture.extent(), bytes).unwrap()
    }

    #[test]
    fn one_wrong_bit_is_found() {
        let picture = Picture::new(Extent::new(61, 40), 5);
        for format in PixelFormat::all() {
            let mut capture = capture_of(&picture, format.fourcc());
            let good = capture.compare(&picture, format);
            assert_eq!((good.pixels_checked, good.pixel_errors), (2440, 0));
            let last = capture.bytes.len() - format.bytes();
            capture.bytes[last] ^= 1;
            let bad = capture.compare(&picture, format);
            assert_eq!(bad.pixel_errors, 1, "{}", format.fourcc());
            let error = bad.first_pixel_error.unwrap();
            assert!(error.starts_with("at (60, 39) "), "{error}");
        }
    }

    #[test]
    fn another_frame_is_another_picture() {
        let extent = Extent::new(320, 200);
        let capture = capture_of(&Picture::new(extent, 8), Fourcc::XRGB8888);
        let other = Picture::new(extent, 9);
        let format = PixelFormat::of(Fourcc::XRGB8888).unwrap();
        // Bars, ramp, border, counter and disc keep many pixels; the background changes.
        assert!(capture.compare(&other, format).pixel_errors > 320 * 200 / 2);
    }

    #[test]
    fn depth_that_was_lost_on_the_way_is_accounted_for() {
        let picture = Picture::new(Extent::new(99, 77), 2);
        let (narrow, wide) = (Fourcc::XRGB8888, Fourcc::XRGB16161616);
        let narrow = PixelFormat::of(narrow).unwrap();
        let mut capture = capture_of(&picture, wide);
        for pixel in capture.bytes.chunks_exact_mut(8) {
            for high in [1, 3, 5] {
                pixel[high - 1] = pixel[high];
            }
        }
        assert_eq!(capture.compare(&picture, narrow).pixel_errors, 0);
        let wide = PixelFormat::of(wide).unwrap();
        assert!(capture.compare(&picture, wide).pixel_errors > 0);
    }

    #[test]
    fn png_holds_the_picture() {
        let folder = tempfile::tempdir().unwrap();
        for (format, bytes) in [(Fourcc::XBGR8888, 1), (Fourcc::ABGR16161616, 2)] {
            let picture = Picture::new(Extent::new(70, 50), 1);
            let path = folder.path().join("picture.png");
            capture_of(&picture, format).write_png(&path).unwrap();
            let decoder = png::Decoder::new(std::io::BufReader::new(File::open(&path).unwrap()));
            let mut reader = decoder.read_info().unwrap();
            let mut samples = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut samples).unwrap();
            let pixel = picture.pixel(33, 21);
            let at = (21 * 70 + 33) * 3 * bytes;
            let expected: Vec<u8> = [pixel.red, pixel.green, pixel.blue]
                .iter()
                .flat_map(|channel| channel.to_be_bytes().into_iter().take(bytes))
                .collect();
            assert_eq!(samples[at..at + 3 * bytes], expected);
        }
    }

    #[test]
    fn wrong_size_is_refused() {
        let short = Capture::from_rows(Fourcc::XRGB8888, Extent::new(4, 4), vec![0; 60]);
        assert!(short.unwrap_err().to_string().contains("64 bytes, not 60"));
        assert!(Capture::from_rows(Fourcc::NV12, Extent::new(4, 4), vec![0; 24]).is_err());
    }
}
