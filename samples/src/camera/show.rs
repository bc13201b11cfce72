//! The loop: a frame of the camera, a layer drawn for it, one commit for both.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use dmashare::Mapping;
use dmashare_v4l2::{CapturedFrame, V4l2Capture, V4l2Output};
use dmashare_vk::Device;

use crate::camera::buffers::CameraFrame;
use crate::camera::camera_options::Options;
use crate::camera::check::Checks;
use crate::camera::coding::Coding;
use crate::camera::stage::Stage;
use crate::capture_target::CaptureTarget;
use crate::drawn_buffer::{DrawnBuffer, is_free};
use crate::painter::Painter;
use crate::picture::Picture;
use crate::progress::Progress;
use crate::screen::Screen;

/// A camera that captures nothing for so long has hung.
const SILENCE: Duration = Duration::from_secs(10);
/// How often the interrupt flag is looked at while waiting.
const LOOK: Duration = Duration::from_millis(100);

/// A buffer that the layer is drawn into, and the encoder's mapping of it.
pub(super) type Layer = (DrawnBuffer, Option<Mapping<V4l2Output>>);

/// The loop, and everything that it needs.
pub(super) struct Show<'a> {
    pub(super) options: &'a Options,
    pub(super) stage: &'a Stage,
    pub(super) camera: &'a V4l2Capture,
    pub(super) device: &'a Device,
    pub(super) screen: &'a mut Screen,
    pub(super) painter: &'a mut Painter,
    pub(super) frames: &'a mut [CameraFrame],
    pub(super) layers: &'a [Layer],
    pub(super) background: Option<&'a DrawnBuffer>,
    pub(super) checks: &'a mut Checks,
    pub(super) coding: Option<&'a mut Coding>,
    /// Frames that the camera marked, which are not shown.
    pub(super) damaged: u64,
}

impl Show<'_> {
    /// As an application would have it: give the camera every free buffer, take a frame, draw the layer,
    /// show both, and let the devices clean up. Returns how many frames were shown.
    pub(super) fn run(&mut self) -> Result<u32> {
        let mut progress = Progress::new(u64::from(self.options.frames), "frames");
        self.give_back()?;
        self.camera.start()?;
        let mut shown = 0;
        while shown < self.options.frames && !self.screen.is_interrupted() {
            let Some(frame) = self.next_frame()? else {
                break;
            };
            let Some(layer) = self.free_layer()? else {
                break;
            };
            self.show(shown, frame, layer)?;
            shown += 1;
            progress.step();
        }
        self.screen.wait_for_flip()?;
        Ok(shown)
    }

    /// Gives the camera the buffers that neither it, nor the display, nor Vulkan uses.
    fn give_back(&self) -> Result<()> {
        let frames = self.frames.iter();
        for frame in frames.filter(|frame| is_free(&frame.shared)) {
            self.camera.queue(&frame.filled, Duration::ZERO)?;
        }
        Ok(())
    }

    /// The camera's next frame; `None` if the program was asked to end.
    fn next_frame(&mut self) -> Result<Option<usize>> {
        let begun = Instant::now();
        while !self.screen.is_interrupted() {
            self.screen.dispatch(Duration::ZERO)?;
            self.give_back()?;
            if self.camera.queued() == 0 {
                self.screen.wait_for_event("no buffer back")?;
                continue;
            }
            let captured = self.camera.wait_frame(LOOK)?;
            match captured {
                Some(CapturedFrame { damaged: true, .. }) => self.damaged += 1,
                Some(CapturedFrame { index, .. }) => {
                    let mut frames = self.frames.iter();
                    let found = frames.position(|frame| frame.index() == index);
                    let found = found.context("the camera gave a buffer that it did not get")?;
                    return Ok(Some(found));
                }
                None => {}
            }
            ensure!(
                begun.elapsed() < SILENCE,
                "{} has captured nothing for {} s: is its lens shut off, or another program using it?",
                self.camera.device().name(),
                SILENCE.as_secs()
            );
        }
        Ok(None)
    }

    /// A layer's buffer that is free; `None` if the program was asked to end.
    fn free_layer(&mut self) -> Result<Option<usize>> {
        while !self.screen.is_interrupted() {
            let mut layers = self.layers.iter();
            if let Some(free) = layers.position(|(buffer, _)| is_free(&buffer.shared)) {
                return Ok(Some(free));
            }
            self.screen.wait_for_event("no free layer")?;
        }
        Ok(None)
    }

    fn show(&mut self, number: u32, frame: usize, layer: usize) -> Result<()> {
        let (layer, encoded) = &self.layers[layer];
        let drawn = self.painter.draw(&layer.image, number)?;
        let wanted = self
            .options
            .encode
            .is_some_and(|every| number.is_multiple_of(every));
        if let (true, Some(coding), Some(encoded)) = (wanted, self.coding.as_deref_mut(), encoded) {
            coding.check(encoded, &Picture::new(self.options.extent, number))?;
        }
        let camera = &mut self.frames[frame];
        let background = self.background.map(|buffer| &buffer.framebuffer);
        let planes = self
            .stage
            .commit(background, &camera.shown, &layer.framebuffer, &drawn);
        let target = self.checks.target_for(number);
        let captured = target.is_some();
        let commit = self
            .screen
            .show_planes(&planes, target.map(CaptureTarget::mapping))?;
        if captured {
            self.checks
                .finish(self.screen, commit, number, self.stage, camera)?;
        }
        self.device.dispatch();
        Ok(())
    }
}
