//! From a Vulkan device to one of another process.

use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{FRAMES, Produced, Received};
use crate::floor::{Exported, Importer, Submitter, Vulkan};
use crate::other_process::{Answer, OtherProcess, SharedMemory, Socket};
use crate::{By, FORMAT, Machine, Operation, Size, VULKAN_USAGE};

/// A frame is drawn by this process and read by another, and the end of the reading is waited for.
#[derive(Debug)]
pub struct HandoffProcesses {
    other: OtherProcess,
    writer: Submitter,
    frames: Vec<Produced>,
    next: usize,
    // Their memory.
    _exported: Vec<Exported>,
}

impl HandoffProcesses {
    /// Starts the other process and sends it the memory.
    ///
    /// # Errors
    /// When the device can share no image of this size, or the other process cannot be started, or
    /// cannot import them.
    pub fn open(machine: &Machine, size: Size) -> Result<Self> {
        let exporter = machine.floor_exporter(size)?;
        let exported = (0..FRAMES).map(|_| exporter.export());
        let exported = exported.collect::<Result<Vec<_>>>()?;
        let frames = exported
            .iter()
            .map(|image| Produced::new(machine.exporter(), image));
        let frames = frames.collect::<Result<_>>()?;
        Ok(Self {
            other: OtherProcess::start(By::Floor, size, &exported)?,
            writer: Submitter::new(machine.exporter())?,
            frames,
            next: 0,
            _exported: exported,
        })
    }
}

impl Operation for HandoffProcesses {
    fn run(&mut self) -> Result<()> {
        let drawn = self.frames[self.next].draw_for_others(&mut self.writer)?;
        let drawn = drawn.as_ref().map(AsFd::as_fd);
        if let Some(read) = self.other.hand(self.next, drawn)? {
            let mut fds = [PollFd::new(read.as_fd(), PollFlags::POLLIN)];
            anyhow::ensure!(
                poll(&mut fds, PollTimeout::from(10_000_u16))? == 1,
                "the other process does not read"
            );
        }
        self.next = (self.next + 1) % FRAMES;
        Ok(())
    }

    fn bytes_copied(&self) -> Option<u64> {
        Some(0)
    }
}

/// The other process: its device reads each frame.
#[derive(Debug)]
pub struct Consumer {
    reader: Submitter,
    frames: Vec<Received>,
}

impl Consumer {
    /// Imports the memory.
    ///
    /// # Errors
    /// When there is no device, or it refuses the memory.
    pub fn serve(socket: &Socket, memory: &SharedMemory, fds: Vec<OwnedFd>) -> Result<()> {
        let vulkan = Vulkan::open(&Machine::device_name())?;
        let importer = Importer::new(
            &vulkan,
            FORMAT,
            memory.size().into(),
            VULKAN_USAGE,
            memory.modifier,
            &memory.planes,
        );
        let frames = fds
            .into_iter()
            .map(|fd| Received::new(&vulkan, &importer, fd));
        let mut this = Self {
            frames: frames.collect::<Result<_>>()?,
            reader: Submitter::new(&vulkan)?,
        };
        socket.answer(&mut this)
    }
}

impl Answer for Consumer {
    fn frame(&mut self, index: usize, drawn: Option<OwnedFd>) -> Result<Option<OwnedFd>> {
        let frame = self.frames.get_mut(index);
        let frame = frame.context("there is no such frame")?;
        frame.read_for_others(&mut self.reader, drawn)
    }

    fn bytes_copied(&self) -> u64 {
        0
    }
}
