//! The other way: a video encoder reads what Vulkan has drawn, from Vulkan's memory; a decoder writes it
//! into memory of a dma-heap, where it is compared with the picture.

use std::time::Duration;

use anyhow::{Context as _, Result};
use dmashare::host::DmaHeap;
use dmashare::{
    Access, BufferDesc, CpuMapping, Extent, Fourcc, Mapping, Modifier, SharedBuffer, Usage,
};

use super::Options;
use crate::capture::Capture;
use crate::picture::Picture;
use crate::v4l2::{Decoder, Encoder, V4l2Output};

/// Codecs that take longer for a frame do not answer any more.
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

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct CodingResult {
    /// Frames that were encoded and decoded.
    pub(super) frames: u64,
    /// Bytes of the coded frames.
    pub(super) bytes: u64,
    /// Frames whose decoded picture is not the one that was drawn.
    pub(super) errors: u64,
    /// The first of them.
    pub(super) first_error: Option<String>,
    /// The greatest difference of a channel.
    pub(super) worst: u8,
    /// The least ratio of signal to noise, in decibels.
    pub(super) least_psnr: Option<f64>,
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

    /// The inodes of the dma-bufs that are ours.
    pub(super) fn inodes(&self) -> Vec<u64> {
        let coded = self.encoder.coded_memory().iter();
        let mut inodes: Vec<u64> = coded.map(|memory| memory.id().inode()).collect();
        inodes.push(self.target.backing().dmabuf().id().inode());
        inodes
    }

    /// Encodes a layer once it is drawn, decodes it, and compares.
    pub(super) fn check(&mut self, layer: &Mapping<V4l2Output>, picture: &Picture) -> Result<()> {
        let coded = self
            .encoder
            .encode(layer, PATIENCE)
            .context("a layer cannot be encoded")?;
        self.result.bytes += u64::from(coded.bytes());
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
        self.frames += 1;
        self.worst = self.worst.max(worst);
        self.least_psnr = Some(self.least_psnr.map_or(psnr, |least| least.min(psnr)));
        if worst > CHANNEL_TOLERANCE || psnr < LEAST_PSNR {
            self.errors += 1;
            let error = || {
                format!(
                    "a channel is off by {worst}, {psnr:.1} dB: the decoded layer is another picture"
                )
            };
            self.first_error.get_or_insert_with(error);
        }
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
        let extent = picture.extent();
        let bytes = (0..extent.height)
            .flat_map(|y| (0..extent.width).map(move |x| (x, y)))
            .flat_map(|(x, y)| {
                let pixel = format.encode(picture.pixel(x, y)).to_le_bytes();
                pixel.into_iter().take(4)
            })
            .collect();
        Capture::from_rows(Fourcc::ARGB8888, extent, bytes).unwrap()
    }

    #[test]
    fn the_tolerance_tells_frames_apart() {
        let extent = Extent::new(640, 360);
        let picture = Picture::new(extent, 7);
        let mut same = CodingResult::default();
        same.add(&drawn(&picture), &picture);
        assert_eq!((same.errors, same.worst), (0, 0));
        for other in [6, 8, 40] {
            let mut result = CodingResult::default();
            result.add(&drawn(&Picture::new(extent, other)), &picture);
            assert_eq!(result.errors, 1, "frame {other}: {result:?}");
            assert!(result.least_psnr.unwrap() < 25.0, "{result:?}");
        }
    }
}
