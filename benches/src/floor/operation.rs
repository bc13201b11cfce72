//! The floor's side of each operation.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use anyhow::{Context, Result};

use super::{
    CopiedMemory, Display, Exported, Exporter, Flips, Framebuffers, Gate, Importer, Submitter,
    descriptor, signalled_fence,
};
use crate::operation::DRAWING_TIME;
use crate::{FOURCC, Machine, Operation, Screen, Size};

/// Whether an operation also buys the library's named safeties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    /// It does what the interfaces ask for, and nothing else.
    None,
    /// An export is checked and named; an import is checked, and the descriptor kept for the next
    /// device.
    Named,
}

/// A Vulkan image is made, exported and freed.
#[derive(Debug)]
pub struct Export {
    exporter: Exporter,
    checks: Checks,
}

impl Export {
    /// # Errors
    /// When the device can share no image of this size.
    pub fn open(machine: &Machine, size: Size, checks: Checks) -> Result<Self> {
        Ok(Self {
            exporter: machine.floor_exporter(size)?,
            checks,
        })
    }
}

impl Operation for Export {
    fn run(&mut self) -> Result<()> {
        let exported = self.exporter.export()?;
        if self.checks == Checks::Named {
            descriptor::check(exported.fd.as_fd(), 1)?;
            descriptor::set_name(exported.fd.as_fd(), c"exported")?;
        }
        Ok(())
    }
}

/// A dma-buf is imported and freed.
#[derive(Debug)]
pub struct Import {
    exported: Exported,
    importer: Importer,
    checks: Checks,
    bytes: u64,
    received: Vec<OwnedFd>,
}

impl Import {
    /// # Errors
    /// When the device can share no image of this size.
    pub fn open(machine: &Machine, size: Size, checks: Checks) -> Result<Self> {
        let exported = machine.floor_exporter(size)?.export()?;
        Ok(Self {
            importer: machine.floor_importer(size, &exported),
            exported,
            checks,
            bytes: size.bytes(),
            received: Vec::new(),
        })
    }
}

impl Operation for Import {
    fn prepare(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            self.received.push(self.exported.fd.try_clone()?);
        }
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let fd = self.received.pop().context("no descriptor was prepared")?;
        match self.checks {
            Checks::None => self.importer.import(fd).map(drop),
            Checks::Named => {
                descriptor::check(fd.as_fd(), self.bytes)?;
                self.importer.import(fd.try_clone()?).map(drop)
            }
        }
    }
}

/// A dma-buf becomes a framebuffer and goes.
#[derive(Debug)]
pub struct Framebuffer {
    exported: Exported,
    framebuffers: Framebuffers,
}

impl Framebuffer {
    /// # Errors
    /// When there is no device or no card.
    pub fn open(machine: &Machine, size: Size) -> Result<Self> {
        let exported = machine.export_linear(size)?;
        Ok(Self {
            framebuffers: framebuffers(machine.another_card_file()?, size, &exported)?,
            exported,
        })
    }
}

impl Operation for Framebuffer {
    fn run(&mut self) -> Result<()> {
        let framebuffer = self.framebuffers.add(self.exported.fd.as_fd())?;
        self.framebuffers.close(framebuffer)
    }
}

/// Makes framebuffers of dma-bufs that are laid out as this one.
pub(crate) fn framebuffers(file: OwnedFd, size: Size, exported: &Exported) -> Result<Framebuffers> {
    Framebuffers::new(
        file,
        FOURCC.as_raw(),
        (size.width, size.height),
        exported.modifier,
        &exported.planes,
    )
}

/// A display shows another of three framebuffers.
#[derive(Debug)]
pub struct Flip {
    flips: Flips,
    framebuffers: Vec<super::Framebuffer>,
    fence: OwnedFd,
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
        let display = Display::find(machine.card_file()?)?;
        let maker = framebuffers(machine.card_file()?, size, &exported[0])?;
        let framebuffers = exported.iter().map(|image| maker.add(image.fd.as_fd()));
        let framebuffers = framebuffers.collect::<Result<Vec<_>>>()?;
        display.set_mode((size.width, size.height), &framebuffers[0])?;
        screen.start();
        Ok(Self {
            flips: Flips::new(machine.card_file()?, &display)?,
            framebuffers,
            fence: signalled_fence(exported[0].fd.as_fd())?,
            shown: 0,
            screen,
        })
    }
}

impl Operation for Flip {
    fn prepare(&mut self, _times: usize) -> Result<()> {
        std::thread::sleep(DRAWING_TIME);
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        self.shown = self.screen.flip(self.shown);
        self.flips
            .flip(&self.framebuffers[self.shown], self.fence.as_fd())
    }

    fn settle(&mut self) -> Result<()> {
        self.flips.wait()
    }
}

/// A bare vkQueueSubmit2 that signals a timeline semaphore.
#[derive(Debug)]
pub struct KnownBuffer {
    // Before the submitter, whose last work may be behind it.
    gate: Gate,
    submitter: Submitter,
}

impl KnownBuffer {
    /// # Errors
    /// When the device refuses a semaphore.
    pub fn open(machine: &Machine, _size: Size) -> Result<Self> {
        Ok(Self {
            gate: Gate::new(machine.importer())?,
            submitter: Submitter::new(machine.importer())?,
        })
    }
}

impl Operation for KnownBuffer {
    fn prepare(&mut self, _times: usize) -> Result<()> {
        self.gate.close()
    }

    fn run(&mut self) -> Result<()> {
        self.submitter.submit()
    }

    fn settle(&mut self) -> Result<()> {
        self.gate.open()?;
        self.submitter.wait()
    }
}

/// The bytes of a move are copied by the CPU, between a device's image and heap memory, out and back.
#[derive(Debug)]
pub struct Eviction {
    copied: CopiedMemory,
    /// Keeps the image.
    _exported: Exported,
}

impl Eviction {
    /// # Errors
    /// When the device can share no image of this size, or there is no heap.
    pub fn open(machine: &Machine, size: Size) -> Result<Self> {
        let exported = machine.export_linear(size)?;
        let stride = exported.planes[0].stride as usize;
        Ok(Self {
            copied: CopiedMemory::new(&exported.fd, stride * size.height as usize)?,
            _exported: exported,
        })
    }
}

impl Operation for Eviction {
    fn run(&mut self) -> Result<()> {
        self.copied.out_and_back();
        Ok(())
    }
}
