//! A display shows the next of three framebuffers.

use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use dmashare::{Fence, Mapping, SyncFile};
use dmashare_drm::{Card, Commit, Event, Output, OutputCommit, PlaneCommit};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::shared_buffer;
use crate::floor::{self, Exported};
use crate::operation::DRAWING_TIME;
use crate::{Machine, Operation, Size};

/// A display shows the next of three framebuffers.
#[derive(Debug)]
pub struct Flip {
    card: Card,
    output: Output,
    mappings: [Mapping<Card>; 3],
    fence: Fence,
    next: usize,
    // Their memory is on screen.
    _exported: Rc<[Exported; 3]>,
}

impl Flip {
    /// Sets the mode of this size and shows the first framebuffer.
    ///
    /// # Errors
    /// When there is no device or no display, or another program holds the display.
    pub fn open(machine: &Machine, size: Size) -> Result<Self> {
        let exported = machine.screen(size)?;
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
        let mappings = [map(&exported[0])?, map(&exported[1])?, map(&exported[2])?];
        let fence = SyncFile::new(floor::signalled_fence(exported[0].fd.as_fd())?)?;
        let plane = PlaneCommit::primary(&mappings[0]);
        let whole = OutputCommit::new(&output).mode(mode).plane(plane);
        card.commit(Commit::new().output(whole))?;
        let mut flip = Self {
            card,
            output,
            mappings,
            fence: Fence::SyncFile(Arc::new(fence)),
            next: 1,
            _exported: exported,
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
        self.card
            .present(&self.output, &self.mappings[self.next], Some(&self.fence))?;
        self.next = (self.next + 1) % self.mappings.len();
        Ok(())
    }

    /// As a program with a loop of its own does it: it polls the card, then dispatches.
    fn settle(&mut self) -> Result<()> {
        loop {
            let mut fds = [PollFd::new(self.card.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::from(1000_u16))? == 0 {
                bail!("no flip within a second");
            }
            for event in self.card.dispatch()? {
                if matches!(event, Event::Flip { .. }) {
                    return Ok(());
                }
            }
        }
    }
}
