//! A video encoder reads what Vulkan has drawn, from Vulkan's memory; a decoder writes it into memory of a
//! dma-heap, where it is compared with the picture.

use std::time::Duration;

use anyhow::{Context as _, Result};
use dmashare::host::DmaHeap;
use dmashare::{
    Access, BufferDesc, CpuMapping, Extent, Fourcc, Mapping, Modifier, SharedBuffer, Usage,
};

use dmashare_v4l2::{Decoder, Encoder, V4l2Output};

use crate::camera::camera_options::Options;
use crate::capture::Capture;
use crate::picture::Picture;
use crate::report_text::Text;

/// A codec that takes longer for a frame has hung.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far a channel may be from what was drawn. FWHT at its best quality rounds the coefficients of an 8x8
/// block to steps of 4 to 256 (`quant_table` of `codec-fwht.c`) and leaves out the smallest, which shows
/// where single pixels differ from their neighbours. The picture's worst channel was seen to be off by 31.
pub(super) const CHANNEL_TOLERANCE: u8 = 40;
/// The least ratio of signal to noise of a frame, in decibels: 51 was seen. Against another frame of the
/// picture it is below 25.
pub(super) const LEAST_PSNR: f64 = 45.0;

/// An encoder and a decoder, and where the decoder writes.
#[derive(Debug)]
pub(super) struct Coding {
    encoder: Encoder,
    decoder: Decoder,
    target: SharedBuffer,
    cpu: CpuMapping,
    pub(super) result: CodingResult,
}

/// What became of the layers; the report has these fields as keys.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub(super) struct CodingResult {
    /// Layers that were encoded and decoded.
    pub(super) encoded: u64,
    /// Bytes of the coded layers.
    pub(super) coded_bytes: u64,
    /// Layers whose decoded picture is not the one that was drawn.
    pub(super) codec_errors: u64,
    /// The first of them.
    pub(super) first_codec_error: Option<String>,
    /// The greatest difference of a channel.
    pub(super) codec_worst: u8,
    /// The least ratio of signal to noise, in decibels.
    pub(super) codec_psnr: Option<f64>,
}

impl Coding {
    /// Opens both codecs for layers of this kind.
    pub(super) fn open(
        options: &Options,
        name: &str,
        format: Fourcc,
        extent: Extent,
    ) -> Result<Self> {
        let encoder = Encoder::open(options.encoder.as_deref(), format, extent)
            .context("the layer cannot be encoded: leave --encode out, or choose an --encoder")?;
        let decoder = Decoder::open(options.decoder.as_deref(), format, extent).context(
            "what is encoded cannot be decoded: leave --encode out, or choose a --decoder",
        )?;
        let heap = DmaHeap::open("system").context("/dev/dma_heap/system cannot be used")?;
        let desc = BufferDesc::new(name, extent, format, Usage::CPU_READ);
        let target = SharedBuffer::new(&heap, desc, &[Modifier::LINEAR])?;
        let cpu = CpuMapping::new(target.backing().dmabuf(), Access::Read)?;
        Ok(Self {
            encoder,
            decoder,
            target,
            cpu,
            result: CodingResult::default(),
        })
    }

    /// Attaches a layer's buffer to the encoder.
    pub(super) fn attach(&self, layer: &SharedBuffer) -> Result<Mapping<V4l2Output>> {
        let attachment = layer
            .attach(self.encoder.input())
            .context("the encoder cannot read Vulkan's buffers")?;
        Ok(attachment.map()?)
    }

    /// The inodes of the encoder's own dma-bufs, which have no names.
    pub(super) fn coded_inodes(&self) -> impl Iterator<Item = u64> {
        let coded = self.encoder.coded_memory().iter();
        coded.map(|memory| memory.id().inode())
    }

    /// Encodes a layer once it is drawn, decodes it, and compares.
    pub(super) fn check(&mut self, layer: &Mapping<V4l2Output>, picture: &Picture) -> Result<()> {
        let coded = self
            .encoder
            .encode(layer, PATIENCE)
            .context("a layer cannot be encoded")?;
        self.result.coded_bytes += u64::from(coded.bytes());
        let target = self.target.backing();
        self.decoder
            .decode(&coded, target.dmabuf(), PATIENCE)
            .context("a layer cannot be decoded")?;
        self.encoder.recycle(coded)?;
        let decoded = Capture::read(&mut self.cpu)?;
        self.result.add(&decoded, picture);
        Ok(())
    }
}

impl CodingResult {
    fn add(&mut self, decoded: &Capture, picture: &Picture) {
        let extent = picture.extent();
        let (mut squares, mut worst) = (0_u64, 0);
        for y in 0..extent.height {
            for x in 0..extent.width {
                let found = decoded.pixel(x, y).eight_bits();
                let expected = picture.pixel(x, y).eight_bits();
                for (found, expected) in found.into_iter().zip(expected) {
                    let difference = found.abs_diff(expected);
                    worst = difference.max(worst);
                    squares += u64::from(difference) * u64::from(difference);
                }
            }
        }
        let channels = 3 * u64::from(extent.width) * u64::from(extent.height);
        let psnr = psnr(squares, channels);
        self.encoded += 1;
        self.codec_worst = self.codec_worst.max(worst);
        self.codec_psnr = Some(self.codec_psnr.map_or(psnr, |least| least.min(psnr)));
        if worst > CHANNEL_TOLERANCE || psnr < LEAST_PSNR {
            self.codec_errors += 1;
            let error = format!("a channel is off by {worst}, {psnr:.1} dB: another picture");
            self.first_codec_error.get_or_insert(error);
        }
    }

    pub(super) fn write_text(&self, text: &mut Text) {
        if let Some(psnr) = self.codec_psnr {
            let (layers, bytes, wrong) = (self.encoded, self.coded_bytes, self.codec_errors);
            let worst = self.codec_worst;
            let encoded = format!(
                "{layers} layers, {bytes} bytes, {wrong} wrong; after decoding {psnr:.1} dB at least, \
                 a channel off by {worst} at most"
            );
            text.line("encoded", encoded);
        }
        text.maybe("first error", &self.first_codec_error);
    }
}

/// 10 log10 of the square of the greatest value by the mean square error; 99 where there is no error.
#[allow(
    clippy::cast_precision_loss,
    reason = "sums of an image's squares are far below 2^52"
)]
fn psnr(squares: u64, channels: u64) -> f64 {
    match squares {
        0 => 99.0,
        _ => 10.0 * (255.0 * 255.0 * channels as f64 / squares as f64).log10(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel_format::PixelFormat;

    fn drawn(picture: &Picture) -> Capture {
        let format = PixelFormat::of(Fourcc::ARGB8888).unwrap();
        Capture::from_rows(format.fourcc(), picture.extent(), format.rows(picture)).unwrap()
    }

    #[test]
    fn the_tolerance_tells_frames_apart() {
        let extent = Extent::new(640, 360);
        let picture = Picture::new(extent, 7);
        let mut same = CodingResult::default();
        same.add(&drawn(&picture), &picture);
        assert_eq!((same.codec_errors, same.codec_worst), (0, 0));
        for other in [6, 8, 40] {
            let mut result = CodingResult::default();
            result.add(&drawn(&Picture::new(extent, other)), &picture);
            assert_eq!(result.codec_errors, 1, "frame {other}: {result:?}");
            assert!(result.codec_psnr.unwrap() < 25.0, "{result:?}");
        }
    }
}
