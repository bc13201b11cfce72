//! Frames as the display really showed them: captured by its writeback connector, compared with the
//! picture, and written to PNG files.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use dmashare::{
    Access, BufferDesc, Extent, FenceStatus, Fourcc, Mapping, Modifier, SharedBuffer, Usage,
};
use dmashare_drm::{Card, CommitId};

use super::Options;
use super::frame_buffer::FrameBuffer;
use crate::capture::{Capture, Comparison};
use crate::picture::Picture;
use crate::pixel_format::PixelFormat;

/// Buffers for captures: while one is compared, the next is written.
const TARGETS: usize = 2;

/// A buffer that the display writes into.
#[derive(Debug)]
struct Target {
    shared: SharedBuffer,
    mapping: Mapping<Card>,
    /// The frame that is being captured, and the commit that does it.
    pending: Option<(CommitId, u32)>,
}

/// Which frames are captured, and what became of them.
#[derive(Debug)]
pub(super) struct Captures {
    every: Option<u32>,
    frames: u32,
    extent: Extent,
    shown: &'static PixelFormat,
    folder: Option<PathBuf>,
    targets: Vec<Target>,
    pub(super) comparison: Comparison,
    pub(super) png: Vec<PathBuf>,
    /// Frames that were captured, from the display or from the buffer.
    pub(super) captured: u64,
}

impl Captures {
    /// Plans the captures that the options ask for. `format` is that of the display's captures, or
    /// `None` to read the buffers themselves.
    pub(super) fn new(
        options: &Options,
        card: &Card,
        extent: Extent,
        shown: &'static PixelFormat,
        format: Option<Fourcc>,
    ) -> Result<Self> {
        if let Some(folder) = &options.png {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
        }
        let targets = match format {
            Some(format) => (0..TARGETS)
                .map(|index| Target::new(index, card, extent, format))
                .collect::<Result<_>>()?,
            None => Vec::new(),
        };
        Ok(Self {
            every: options.verify,
            frames: options.frames,
            extent,
            shown,
            folder: options.png.clone(),
            targets,
            comparison: Comparison::default(),
            png: Vec::new(),
            captured: 0,
        })
    }

    /// Whether `frame` is to be captured.
    pub(super) fn wants(&self, frame: u32) -> bool {
        self.every.is_some_and(|every| frame.is_multiple_of(every)) || self.wants_png(frame)
    }

    /// The first frame, the last, and one in the middle that is captured anyway, if one is.
    fn wants_png(&self, frame: u32) -> bool {
        let middle = self.frames / 2;
        let middle = middle - middle % self.every.unwrap_or(1);
        self.folder.is_some() && [0, middle, self.frames - 1].contains(&frame)
    }

    /// Whether frames are captured by the display.
    pub(super) fn are_of_display(&self) -> bool {
        !self.targets.is_empty()
    }

    /// The inodes of the capture buffers.
    pub(super) fn inodes(&self) -> impl Iterator<Item = u64> {
        let inode = |target: &Target| target.shared.backing().dmabuf().id().inode();
        self.targets.iter().map(inode)
    }

    /// Whether every capture is complete.
    pub(super) fn are_done(&self) -> bool {
        self.targets.iter().all(|target| target.pending.is_none())
    }

    /// A buffer to capture into, by number, if one is free.
    pub(super) fn free_target(&self) -> Option<usize> {
        self.targets.iter().position(|target| {
            let ready = target.shared.ready(Access::Write).status();
            target.pending.is_none() && ready != FenceStatus::Pending
        })
    }

    /// The capture buffer of this number.
    pub(super) fn target(&self, index: usize) -> &Mapping<Card> {
        &self.targets[index].mapping
    }

    /// `commit` captures `frame` into the buffer of this number.
    pub(super) fn begun(&mut self, index: usize, commit: CommitId, frame: u32) {
        self.targets[index].pending = Some((commit, frame));
    }

    /// The capture of `commit` is complete: compares it.
    pub(super) fn written(&mut self, commit: CommitId) -> Result<()> {
        let found = self.targets.iter_mut().find_map(|target| {
            let pending = target.pending.take_if(|(of, _)| *of == commit);
            pending.map(|(_, frame)| (frame, target.shared.clone()))
        });
        let Some((frame, shared)) = found else {
            return Ok(());
        };
        let capture = Capture::read(shared.backing().dmabuf())
            .with_context(|| format!("the capture of frame {frame} cannot be read"))?;
        self.examine(frame, &capture)
    }

    /// Reads a frame from the buffer itself, once it is drawn: a copy for the PNG file, which shows
    /// what was drawn, not what the display made of it.
    pub(super) fn read_buffer(&mut self, frame: u32, buffer: &FrameBuffer) -> Result<()> {
        let capture = Capture::read(buffer.shared.backing().dmabuf()).context(
            "frames can be written to PNG files only with a writeback connector or in linear \
             buffers: leave --png out",
        )?;
        self.examine(frame, &capture)
    }

    fn examine(&mut self, frame: u32, capture: &Capture) -> Result<()> {
        self.captured += 1;
        let picture = Picture::new(self.extent, frame);
        self.comparison.add(capture.compare(&picture, self.shown));
        if let Some(folder) = self.folder.as_ref().filter(|_| self.wants_png(frame)) {
            let path = folder.join(format!("frame-{frame:06}.png"));
            capture.write_png(&path)?;
            self.png.push(path);
        }
        Ok(())
    }
}

impl Target {
    fn new(index: usize, card: &Card, extent: Extent, format: Fourcc) -> Result<Self> {
        let name = format!("scanout {} capture {index}", std::process::id());
        let usage = Usage::SCANOUT | Usage::CPU_READ;
        let desc = BufferDesc::new(name, extent, format, usage);
        let shared = SharedBuffer::new(&card.dumb_buffers(), desc, &[Modifier::LINEAR])
            .context("no buffer can be allocated for captures")?;
        let mapping = shared.attach(card)?.map()?;
        Ok(Self {
            shared,
            mapping,
            pending: None,
        })
    }
}
