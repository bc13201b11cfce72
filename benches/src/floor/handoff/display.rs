//! From a Vulkan device to a display.

use std::os::fd::AsFd;
use std::rc::Rc;

use anyhow::Result;

use super::{FRAMES, Produced};
use crate::floor::operation::framebuffers;
use crate::floor::{Display, Exported, Flips, Framebuffer, Submitter};
use crate::operation::DRAWING_TIME;
use crate::{Machine, Operation, Size};

/// A frame is drawn, and shown when it is.
#[derive(Debug)]
pub struct HandoffDisplay {
    writer: Submitter,
    frames: Vec<(Produced, Framebuffer)>,
    flips: Flips,
    next: usize,
    // Their memory is on screen.
    _exported: Rc<[Exported; FRAMES]>,
}

impl HandoffDisplay {
    /// Sets the mode of this size and shows the first framebuffer.
    ///
    /// # Errors
    /// When there is no device or no display, or another program holds the display.
    pub fn open(machine: &Machine, size: Size) -> Result<Self> {
        let exported = machine.scanout(size)?;
        let display = Display::find(machine.card_file()?)?;
        let maker = framebuffers(machine.card_file()?, size, &exported[0])?;
        let frames = exported.iter().map(|image| {
            Ok((
                Produced::new(machine.exporter(), image)?,
                maker.add(image.fd.as_fd())?,
            ))
        });
        let frames = frames.collect::<Result<Vec<_>>>()?;
        display.set_mode((size.width, size.height), &frames[0].1)?;
        Ok(Self {
            writer: Submitter::new(machine.exporter())?,
            frames,
            flips: Flips::new(machine.card_file()?, &display)?,
            next: 1,
            _exported: exported,
        })
    }
}

impl Operation for HandoffDisplay {
    fn prepare(&mut self, _times: usize) -> Result<()> {
        std::thread::sleep(DRAWING_TIME);
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let (produced, framebuffer) = &mut self.frames[self.next];
        let drawn = produced.draw(&mut self.writer)?;
        self.flips
            .flip(framebuffer, drawn.as_ref().map(AsFd::as_fd))?;
        self.next = (self.next + 1) % FRAMES;
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        self.flips.wait()
    }

    fn bytes_copied(&self) -> Option<u64> {
        Some(0)
    }
}
