//! From a Vulkan device to a display.

use std::rc::Rc;

use anyhow::{Context, Result};
use dmashare::{Access, Mapping};
use dmashare_drm::{Card, Commit, Output, OutputCommit, PlaneCommit};

use super::Party;
use crate::library::flip::wait_for_flip;
use crate::library::shared_buffer;
use crate::operation::DRAWING_TIME;
use crate::{Machine, Operation, Screen, Size};

/// A frame is drawn, and shown when it is.
#[derive(Debug)]
pub struct HandoffDisplay {
    writer: Party,
    card: Card,
    output: Output,
    mappings: Vec<Mapping<Card>>,
    shown: usize,
    runs: u64,
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
        let card = Card::from_fd(machine.card_file()?)?;
        let output = card
            .outputs()?
            .into_iter()
            .find(Output::is_connected)
            .context("nothing is connected to the card")?;
        let mode = output.mode(&size.to_string())?;
        let buffers = screen
            .images()
            .iter()
            .map(|image| shared_buffer("shown", size, image));
        let buffers = buffers.collect::<Result<Vec<_>>>()?;
        let writer = Party::new(machine.exporter(), &buffers, Access::Write)?;
        let mappings = buffers
            .iter()
            .map(|buffer| Ok(buffer.attach(&card)?.map()?));
        let mappings = mappings.collect::<Result<Vec<_>>>()?;
        let plane = PlaneCommit::primary(&mappings[0]);
        let whole = OutputCommit::new(&output).mode(mode).plane(plane);
        card.commit(Commit::new().output(whole))?;
        screen.start();
        let mut this = Self {
            writer,
            card,
            output,
            mappings,
            shown: 0,
            runs: 0,
            screen,
        };
        this.settle()?;
        Ok(this)
    }
}

impl Operation for HandoffDisplay {
    fn prepare(&mut self, _times: usize) -> Result<()> {
        std::thread::sleep(DRAWING_TIME);
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        self.shown = self.screen.flip(self.shown);
        let drawn = self.writer.submit(self.shown)?;
        self.card
            .present(&self.output, &self.mappings[self.shown], Some(&drawn))?;
        self.runs += 1;
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        wait_for_flip(&self.card)
    }

    fn bytes_copied(&self) -> Option<u64> {
        self.writer.bytes_copied().checked_div(self.runs)
    }
}
