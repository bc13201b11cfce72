//! The loop: a frame of the camera, a layer drawn for it, one commit for both.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use dmashare_vk::Device;

use super::buffers::{CameraFrame, LayerFrame};
use super::check::Checks;
use super::coding::Coding;
use super::stage::Stage;
use super::{Background, Options};
use crate::capture_target::CaptureTarget;
use crate::painter::Painter;
use crate::picture::Picture;
use crate::progress::Progress;
use crate::screen::Screen;
use crate::v4l2::{CapturedFrame, V4l2Capture};

/// A camera that gives nothing for so long will not give anything any more.
const SILENCE: Duration = Duration::from_secs(10);
/// How often the interrupt flag is looked at while waiting.
const LOOK: Duration = Duration::from_millis(100);

/// The loop, and everything that it needs.
pub(super) struct Show<'a> {
    pub(super) options: &'a Options,
    pub(super) stage: &'a Stage,
    pub(super) camera: &'a V4l2Capture,
    pub(super) device: &'a Device,
    pub(super) screen: &'a mut Screen,
    pub(super) painter: &'a mut Painter,
    pub(super) frames: &'a mut [CameraFrame],
    pub(super) layers: &'a [LayerFrame],
    pub(super) background: Option<&'a Background>,
    pub(super) checks: &'a mut Checks,
    pub(super) coding: Option<&'a mut Coding>,
    /// Frames that the camera marked, which are not shown.
    pub(super) damaged: u64,
}

impl Show<'_> {
    /// As an application would have it: give the camera every buffer that nobody uses, take a frame, draw
    /// the layer, show both, and let the devices clean up. Returns how many frames were shown.
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

    /// Gives the camera the buffers that nobody uses any more: neither it, nor the display, nor Vulkan.
    fn give_back(&self) -> Result<()> {
        for frame in self.frames.iter().filter(|frame| frame.is_free()) {
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

    /// A layer's buffer that nobody uses; `None` if the program was asked to end.
    fn free_layer(&mut self) -> Result<Option<usize>> {
        while !self.screen.is_interrupted() {
            if let Some(free) = self.layers.iter().position(LayerFrame::is_free) {
                return Ok(Some(free));
            }
            self.screen.wait_for_event("no free layer")?;
        }
        Ok(None)
    }

    fn show(&mut self, number: u32, frame: usize, layer: usize) -> Result<()> {
        let layer = &self.layers[layer];
        let drawn = self.painter.draw(&layer.image, number)?;
        let wanted = self
            .options
            .encode
            .is_some_and(|every| number.is_multiple_of(every));
        if let (true, Some(coding), Some(encoded)) =
            (wanted, self.coding.as_deref_mut(), &layer.encoded)
        {
            coding.check(encoded, &Picture::new(self.options.extent, number))?;
        }
        let camera = &mut self.frames[frame];
        let background = self.background.map(|background| &background.shown);
        let planes = self
            .stage
            .commit(background, &camera.shown, &layer.shown, &drawn);
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
