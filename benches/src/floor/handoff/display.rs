//! From a Vulkan device to a display.

use std::os::fd::AsFd;
use std::rc::Rc;

use anyhow::Result;

use super::Produced;
use crate::floor::operation::framebuffers;
use crate::floor::{Display, Flips, Framebuffer, Submitter};
use crate::operation::DRAWING_TIME;
use crate::{Machine, Operation, Screen, Size};

/// A frame is drawn, and shown when it is.
#[derive(Debug)]
pub struct HandoffDisplay {
    writer: Submitter,
    frames: Vec<(Produced, Framebuffer)>,
    flips: Flips,
    shown: usize,
    // Their memory is on screen.
    screen: Rc<Screen>,
}

impl HandoffDisplay {
    /// Sets the mode of this size and shows the first framebuffer.
    ///
    /// # Errors
    /// When there is no device or no display, or another program holds the display.
    pub fn open(machine: &Machine, size: Size) -> Result<Self> {
        let screen = machine.screen(size)?;
        let display = Display::find(machine.card_file()?)?;
        let maker = framebuffers(machine.card_file()?, size, &screen.images()[0])?;
        let frames = screen.images().iter().map(|image| {
            Ok((
                Produced::new(machine.exporter(), image)?,
                maker.add(image.fd.as_fd())?,
            ))
        });
        let frames = frames.collect::<Result<Vec<_>>>()?;
        display.set_mode((size.width, size.height), &frames[0].1)?;
        screen.start();
        Ok(Self {
            writer: Submitter::new(machine.exporter())?,
            frames,
            flips: Flips::new(machine.card_file()?, &display)?,
            shown: 0,
            screen,
        })
    }
}

impl Operation for HandoffDisplay {
    fn prepare(&mut self, _times: usize) -> Result<()> {
        std::thread::sleep(DRAWING_TIME);
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        self.shown = self.screen.flip(self.shown);
        let (produced, framebuffer) = &mut self.frames[self.shown];
        let drawn = produced.draw(&mut self.writer)?;
        self.flips
            .flip(framebuffer, drawn.as_ref().map(AsFd::as_fd))?;
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        self.flips.wait()
    }

    fn bytes_copied(&self) -> Option<u64> {
        Some(0)
    }
}
