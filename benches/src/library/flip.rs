//! A display shows another of three framebuffers.

use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use dmashare::{Fence, Mapping, SyncFile};
use dmashare_drm::{Card, Commit, Event, Output, OutputCommit, PlaneCommit};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::shared_buffer;
use crate::floor;
use crate::operation::DRAWING_TIME;
use crate::{Machine, Operation, Screen, Size};

/// A display shows another of three framebuffers.
#[derive(Debug)]
pub struct Flip {
    card: Card,
    output: Output,
    mappings: Vec<Mapping<Card>>,
    fence: Fence,
    shown: usize,
    screen: Rc<Screen>,
}

impl Flip {
    /// Sets the mode of this size and shows the first framebuffer.
    ///
    /// # Errors
    /// When there is no device or no display, or another program holds the display.
    pub fn open(machine: &Machine, size: Size) -> Result<Self> {
        let screen = machine.screen(size)?;
        let exported = screen.images();
        let card = Card::from_fd(machine.card_file()?)?;
        let output = card
            .outputs()?
            .into_iter()
            .find(Output::is_connected)
            .context("nothing is connected to the card")?;
        let mode = output.mode(&size.to_string())?;
        let map = |exported| -> Result<_> {
            Ok(shared_buffer("flipped", size, exported)?
                .attach(&card)?
                .map()?)
        };
        let mappings = exported.iter().map(map).collect::<Result<Vec<_>>>()?;
        let fence = SyncFile::new(floor::signalled_fence(exported[0].fd.as_fd())?)?;
        let plane = PlaneCommit::primary(&mappings[0]);
        let whole = OutputCommit::new(&output).mode(mode).plane(plane);
        card.commit(Commit::new().output(whole))?;
        screen.start();
        let mut flip = Self {
            card,
            output,
            mappings,
            fence: Fence::SyncFile(Arc::new(fence)),
            shown: 0,
            screen,
        };
        flip.settle()?;
        Ok(flip)
    }
}

impl Operation for Flip {
    fn prepare(&mut self, _times: usize) -> Result<()> {
        std::thread::sleep(DRAWING_TIME);
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        self.shown = self.screen.flip(self.shown);
        let mapping = &self.mappings[self.shown];
        self.card
            .present(&self.output, mapping, Some(&self.fence))?;
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        wait_for_flip(&self.card)
    }
}

/// As a program with a loop of its own does it: it polls the card, then dispatches.
pub(super) fn wait_for_flip(card: &Card) -> Result<()> {
    loop {
        let mut fds = [PollFd::new(card.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(1000_u16))? == 0 {
            bail!("no flip within a second");
        }
        for event in card.dispatch()? {
            if matches!(event, Event::Flip { .. }) {
                return Ok(());
            }
        }
    }
}
