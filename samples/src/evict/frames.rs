//! The frames of `evict`: drawing, showing, refusing to move, and reading back.

use anyhow::{Context as _, Result};
use dmashare::{AccessConstraint, MoveError, Placements};

use crate::capture_target::CaptureTarget;
use crate::evict::Stage;
use crate::evict::evict_options::Options;
use crate::evict::slot::hash_of;
use crate::picture::Picture;
use crate::progress::Progress;

impl Stage {
    /// In each frame, the next buffer is drawn and shown, the one on screen refuses to move, and some
    /// others are read back.
    pub(super) fn play(&mut self, options: &Options) -> Result<()> {
        let mut progress = Progress::new(u64::from(options.frames), "frames");
        let count = self.slots.len();
        let faults = options.faults > 0;
        for frame in 0..options.frames {
            if self.screen.is_interrupted() {
                self.report.interrupted = true;
                break;
            }
            let index = frame as usize % count;
            self.draw_and_show(index, frame, options, faults)?;
            self.try_to_evict(index)?;
            for read in 0..options.reads {
                let index = self.random.below(count);
                self.read_back(index, read % 2 == 1, faults)?;
            }
            self.dispatch();
            self.report.frames += 1;
            progress.step();
        }
        self.screen.wait_for_flip()
    }

    fn draw_and_show(
        &mut self,
        index: usize,
        frame: u32,
        options: &Options,
        faults: bool,
    ) -> Result<()> {
        let slot = &mut self.slots[index];
        let name = slot.shared.desc().name.clone();
        let painter = &mut self.painter;
        let fence = self
            .patience
            .again(&format!("drawing '{name}'"), faults, || {
                painter.draw(&slot.on_first.map()?, frame)
            })?;
        let picture = Picture::new(slot.shared.desc().extent, frame);
        slot.content = Some((frame, hash_of(&self.format.rows(&picture), self.format)));
        let generation = slot.shared.backing().generation().as_u64();
        let has_moved = slot.shown != Some(generation);
        let captured = match &mut self.capture {
            Some(target) if frame.is_multiple_of(options.verify) || has_moved => Some(target),
            _ => None,
        };
        let screen = &mut self.screen;
        let commit = self
            .patience
            .again(&format!("showing '{name}'"), faults, || {
                let framebuffer = slot.on_card.map()?;
                screen.show(
                    &framebuffer,
                    &fence,
                    captured.as_deref().map(CaptureTarget::mapping),
                )
            })?;
        slot.shown = Some(slot.shared.backing().generation().as_u64());
        if let Some(target) = captured {
            self.report.captures_expected += 1;
            screen
                .wait_for_capture(commit)
                .with_context(|| format!("frame {frame} was not captured"))?;
            let comparison = target.read(frame)?.compare(&picture, self.format);
            self.report.captured += 1;
            self.report.comparison.add(comparison);
        }
        Ok(())
    }

    /// The buffer on screen does not move, and the refusal says why.
    fn try_to_evict(&mut self, index: usize) -> Result<()> {
        let shared = &self.slots[index].shared;
        let generation = shared.backing().generation();
        let away = AccessConstraint::placements(Placements::HOST | Placements::SHMEM);
        match shared.move_to(&away) {
            Err(MoveError::Pinned { pins, .. }) => {
                let scanout = format!("scanout {}", self.report.output);
                if pins.iter().any(|pin| *pin.label == *scanout) {
                    self.report.refused += 1;
                } else {
                    self.report.pin_errors += 1;
                }
            }
            // It may be in host memory already.
            Ok(moved) if moved.fence().is_none() => {}
            _ => self.report.pin_errors += 1,
        }
        if shared.backing().generation() != generation {
            self.report.pin_errors += 1;
        }
        Ok(())
    }

    /// Reads a buffer with one of the devices and compares its hash.
    fn read_back(&mut self, index: usize, by_second: bool, faults: bool) -> Result<()> {
        let slot = &self.slots[index];
        let Some((frame, expected)) = slot.content else {
            return Ok(());
        };
        let (device, attachment) = match by_second {
            false => (&self.first, &slot.on_first),
            true => (&self.second, &slot.on_second),
        };
        let name = &slot.shared.desc().name;
        let rows = self
            .patience
            .again(&format!("reading '{name}'"), faults, || {
                Ok(device.transfer().download(&attachment.map()?)?)
            })?;
        self.report.hashes_checked += 1;
        if hash_of(&rows, self.format) != expected {
            self.report.hash_errors += 1;
            let generation = slot.shared.backing().generation().as_u64();
            self.report.first_hash_error.get_or_insert_with(|| {
                format!(
                    "'{name}', frame {frame}, generation {generation}, second device: {by_second}"
                )
            });
        }
        Ok(())
    }

    /// Reads every buffer with both devices.
    pub(super) fn check_all(&mut self, options: &Options) -> Result<()> {
        let mut progress = Progress::new(self.slots.len() as u64, "buffers compared");
        for index in 0..self.slots.len() {
            for by_second in [false, true] {
                self.read_back(index, by_second, options.faults > 0)?;
            }
            self.dispatch();
            progress.step();
        }
        Ok(())
    }

    fn dispatch(&self) {
        self.first.dispatch();
        self.second.dispatch();
        self.residency.dispatch();
    }
}
