//! Compares what the display showed with what the camera captured and Vulkan drew.

use anyhow::{Context as _, Result};
use dmashare::Extent;
use dmashare_drm::{Card, CommitId, Output};
use dmashare_vk::Device;

use crate::agreement;
use crate::camera::buffers::CameraFrame;
use crate::camera::camera_options::Options;
use crate::camera::pattern::Bars;
use crate::camera::stage::{Stage, inside};
use crate::capture::{Capture, Comparison};
use crate::capture_target::CaptureTarget;
use crate::frame_pixels::{FramePixels, near};
use crate::picture::Picture;
use crate::pixel_format::PixelFormat;
use crate::screen::Screen;

/// Compares every n-th frame.
#[derive(Debug)]
pub(super) struct Checks {
    every: Option<u32>,
    target: Option<CaptureTarget>,
    device: Device,
    background: Picture,
    /// Whether the camera's picture is known.
    has_pattern: bool,
    /// Where the bars of the pattern have begun.
    places: Vec<u32>,
    pub(super) result: CheckResult,
}

/// What the checks found; the report has these fields as keys.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(super) struct CheckResult {
    /// Frames whose capture was compared.
    pub(super) captured: u64,
    /// The pixels of captures: the camera's, the layer's and the background's.
    #[serde(flatten)]
    pub(super) comparison: Comparison,
    /// Pixels of the camera's frames that are not those of the known test pattern; `None` for a camera
    /// that sees the world, and if none was compared. The JSON object does not have the key then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pattern_errors: Option<u64>,
    /// At how many places the moving pattern was seen.
    pub(super) pattern_places: usize,
    /// Bytes of the camera's frames that Vulkan read and that were compared with what the CPU reads.
    pub(super) vulkan_bytes: u64,
    /// Frames in which the two differ.
    pub(super) vulkan_errors: u64,
}

impl Checks {
    /// Makes the buffer for captures, if there are any.
    pub(super) fn new(
        options: &Options,
        name: &str,
        card: &Card,
        output: &Output,
        screen: Extent,
        device: &Device,
        has_pattern: bool,
    ) -> Result<Self> {
        let target = options.verify.map(|_| {
            let shown = PixelFormat::of(dmashare::Fourcc::XRGB8888);
            let shown = shown.context("XR24 is in the table")?;
            let format = agreement::choose_capture_format(output, shown)?;
            CaptureTarget::new(card, name.to_owned(), screen, format)
        });
        Ok(Self {
            every: options.verify,
            target: target.transpose()?,
            device: device.clone(),
            background: Picture::new(screen, 0),
            has_pattern,
            places: Vec::new(),
            result: CheckResult::default(),
        })
    }

    /// Where the display is to write a frame that is to be compared.
    pub(super) fn target_for(&self, frame: u32) -> Option<&CaptureTarget> {
        let wanted = self.every.is_some_and(|every| frame.is_multiple_of(every));
        self.target.as_ref().filter(|_| wanted)
    }

    /// Waits for the capture of a commit, and compares everything. The frame is on the screen, so the
    /// camera does not have its buffer.
    pub(super) fn finish(
        &mut self,
        screen: &mut Screen,
        commit: CommitId,
        number: u32,
        stage: &Stage,
        camera: &mut CameraFrame,
    ) -> Result<()> {
        let Some(target) = &mut self.target else {
            return Ok(());
        };
        screen
            .wait_for_capture(commit)
            .with_context(|| format!("frame {number} was not captured"))?;
        let capture = target.read(number)?;
        let pixels = camera.read()?;
        self.result.captured += 1;
        self.compare(&capture, &pixels, number, stage)?;
        if self.has_pattern {
            let bars = Bars::find(&pixels)?;
            *self.result.pattern_errors.get_or_insert(0) += bars.errors;
            let new = bars.begin.filter(|begin| !self.places.contains(begin));
            self.places.extend(new);
            self.result.pattern_places = self.places.len();
        }
        if let Some(image) = &camera.image {
            let read = self.device.transfer().download(image)?;
            let expected = pixels.bytes();
            self.result.vulkan_bytes += read.len() as u64;
            self.result.vulkan_errors += u64::from(read != expected);
        }
        Ok(())
    }

    fn compare(
        &mut self,
        capture: &Capture,
        pixels: &FramePixels,
        number: u32,
        stage: &Stage,
    ) -> Result<()> {
        let layer = Picture::new(pixels.extent(), number);
        let tolerance = pixels.tolerance();
        let Extent { width, height } = stage.screen();
        for y in 0..height {
            for x in 0..width {
                let (of, expected, tolerance) = if let Some((x, y)) = inside(stage.layer_at, x, y) {
                    ("layer", layer.pixel(x, y).eight_bits(), 0)
                } else if let Some((x, y)) = inside(stage.camera_at, x, y) {
                    ("camera", pixels.pixel(x, y)?, tolerance)
                } else if stage.has_background {
                    ("background", self.background.pixel(x, y).eight_bits(), 0)
                } else {
                    ("background", [0, 0, 0], 0)
                };
                let found = capture.pixel(x, y).eight_bits();
                if !near(found, expected, tolerance) {
                    let what = format!("{found:?} instead of {expected:?}");
                    self.result
                        .comparison
                        .wrong(|| format!("frame {number}, {of}, at ({x}, {y}): {what}"));
                }
            }
        }
        self.result.comparison.pixels_checked += u64::from(width) * u64::from(height);
        Ok(())
    }
}
