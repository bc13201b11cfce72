//! Frames as the display really showed them: captured by its writeback connector, compared with the
//! picture, and written to PNG files.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use dmashare::{Access, CpuMapping, Extent, Fourcc, Mapping};
use dmashare_drm::{Card, CommitId};

use crate::capture::{Capture, Comparison};
use crate::capture_target::CaptureTarget;
use crate::drawn_buffer::DrawnBuffer;
use crate::picture::Picture;
use crate::pixel_format::PixelFormat;
use crate::scanout::scanout_options::Options;
use crate::screen::Screen;

/// Which frames are captured.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// One of so many frames is compared.
    every: Option<u32>,
    /// Frames of the whole run, at least one.
    frames: u32,
    /// Whether some become PNG files.
    png: bool,
}

impl Plan {
    fn wants(self, frame: u32) -> bool {
        self.every.is_some_and(|every| frame.is_multiple_of(every)) || self.wants_png(frame)
    }

    /// The first frame, the last, and one in the middle that is captured anyway, if one is.
    fn wants_png(self, frame: u32) -> bool {
        let middle = self.frames / 2;
        let middle = middle - middle % self.every.unwrap_or(1);
        self.png && [0, middle, self.frames - 1].contains(&frame)
    }

    /// How many captures there are to be.
    fn count(self) -> u64 {
        (0..self.frames).filter(|frame| self.wants(*frame)).count() as u64
    }
}

/// Which frames are captured, and what became of them.
#[derive(Debug)]
pub(super) struct Captures {
    plan: Plan,
    extent: Extent,
    shown: &'static PixelFormat,
    folder: Option<PathBuf>,
    /// One is enough: see [`finish`](Self::finish).
    target: Option<CaptureTarget>,
    /// The frame that is being captured, and the commit that does it.
    pending: Option<(CommitId, u32)>,
    pub(super) comparison: Comparison,
    pub(super) png: Vec<PathBuf>,
    /// Frames that were captured, from the display or from the buffer.
    pub(super) captured: u64,
}

impl Captures {
    /// Plans the captures that the options ask for. `format` is the format of the display's captures,
    /// or `None` to read the buffers themselves. The name of the capture buffer begins with `name`.
    pub(super) fn new(
        options: &Options,
        name: &str,
        card: &Card,
        extent: Extent,
        shown: &'static PixelFormat,
        format: Option<Fourcc>,
    ) -> Result<Self> {
        if let Some(folder) = &options.png {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
        }
        let name = format!("{name}capture");
        let target = format.map(|format| CaptureTarget::new(card, name, extent, format));
        Ok(Self {
            plan: Plan {
                every: options.verify,
                frames: options.frames,
                png: options.png.is_some(),
            },
            extent,
            shown,
            folder: options.png.clone(),
            target: target.transpose()?,
            pending: None,
            comparison: Comparison::default(),
            png: Vec::new(),
            captured: 0,
        })
    }

    /// Whether `frame` is to be captured.
    pub(super) fn wants(&self, frame: u32) -> bool {
        self.plan.wants(frame)
    }

    /// How many frames are to be captured in all.
    pub(super) fn expected(&self) -> u64 {
        self.plan.count()
    }

    /// Where the display is to write `frame`, if it is to be captured by the display.
    pub(super) fn target_for(&self, frame: u32) -> Option<&Mapping<Card>> {
        let target = self.target.as_ref().filter(|_| self.wants(frame));
        target.map(CaptureTarget::mapping)
    }

    /// Where captures come from, if there were any.
    pub(super) fn source(&self) -> Option<&'static str> {
        match (self.captured, &self.target) {
            (0, _) => None,
            (_, Some(_)) => Some("writeback"),
            (_, None) => Some("buffer"),
        }
    }

    /// `commit` captures `frame`.
    pub(super) fn begun(&mut self, commit: CommitId, frame: u32) {
        self.pending = self.target.is_some().then_some((commit, frame));
    }

    /// Waits for the capture that is pending, if one is, and compares it.
    ///
    /// Nothing may be shown before that: a display in software (vkms) can lose a capture when the
    /// next commit comes before it has begun.
    pub(super) fn finish(&mut self, screen: &mut Screen) -> Result<()> {
        let Some(target) = &mut self.target else {
            return Ok(());
        };
        let Some((commit, frame)) = self.pending.take() else {
            return Ok(());
        };
        screen
            .wait_for_capture(commit)
            .with_context(|| format!("frame {frame} was not captured"))?;
        let capture = target.read(frame)?;
        self.examine(frame, &capture)
    }

    /// Reads a frame from the buffer itself, once it is drawn: a copy for the PNG file, which shows
    /// what was drawn, not what the display made of it.
    pub(super) fn read_buffer(&mut self, frame: u32, buffer: &DrawnBuffer) -> Result<()> {
        let mut mapping = CpuMapping::new(buffer.shared.backing().dmabuf(), Access::Read).context(
            "frames can be written to PNG files only with a writeback connector or in linear \
             buffers: leave --png out",
        )?;
        let capture = Capture::read(&mut mapping)?;
        self.examine(frame, &capture)
    }

    fn examine(&mut self, frame: u32, capture: &Capture) -> Result<()> {
        self.captured += 1;
        let picture = Picture::new(self.extent, frame);
        self.comparison.add(capture.compare(&picture, self.shown));
        if let Some(folder) = self.folder.as_ref().filter(|_| self.plan.wants_png(frame)) {
            let path = folder.join(format!("frame-{frame:06}.png"));
            capture.write_png(&path)?;
            self.png.push(path);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_captures_as_were_asked_for() {
        let count = |every, frames, png| Plan { every, frames, png }.count();
        assert_eq!(count(None, 300, false), 0);
        assert_eq!(count(Some(1), 300, false), 300);
        assert_eq!(count(Some(5), 300, false), 60);
        assert_eq!(count(Some(5), 301, false), 61);
        assert_eq!(count(Some(1000), 300, false), 1);
        // The first, the middle and the last one.
        assert_eq!(count(None, 300, true), 3);
        assert_eq!(count(None, 1, true), 1);
        // 0, 5 and 10, and the last one; the one in the middle is the fifth.
        assert_eq!(count(Some(5), 12, true), 4);
    }
}
