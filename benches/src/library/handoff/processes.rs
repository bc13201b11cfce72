//! From a Vulkan device to one of another process.

use std::os::fd::{AsFd, OwnedFd};

use anyhow::Result;
use dmashare::{Access, BufferDesc, Fence, SharedBuffer, SyncFile};

use super::Party;
use super::party::{PATIENCE, sync_file};
use crate::floor::handoff::FRAMES;
use crate::floor::{Exported, Vulkan};
use crate::library::{desc, received_dmabuf, shared_buffer};
use crate::other_process::{Answer, OtherProcess, SharedMemory, Socket};
use crate::{By, Machine, Operation, Size};

/// A frame is drawn by this process and read by another, and the end of the reading is waited for.
#[derive(Debug)]
pub struct HandoffProcesses {
    other: OtherProcess,
    writer: Party,
    next: usize,
    runs: u64,
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
        let buffers = exported
            .iter()
            .map(|image| shared_buffer("handed", size, image));
        let buffers = buffers.collect::<Result<Vec<_>>>()?;
        Ok(Self {
            other: OtherProcess::start(By::Dmashare, size, &exported)?,
            writer: Party::new(machine.exporter(), &buffers, Access::Write)?.for_another_process(),
            next: 0,
            runs: 0,
            _exported: exported,
        })
    }
}

impl Operation for HandoffProcesses {
    fn run(&mut self) -> Result<()> {
        let drawn = sync_file(&self.writer.submit(self.next)?)?;
        let drawn = drawn.as_ref().map(AsFd::as_fd);
        if let Some(read) = self.other.hand(self.next, drawn)? {
            let read = Fence::from(SyncFile::new(read)?);
            self.writer.used_elsewhere(self.next, Access::Read, &read)?;
            read.wait(PATIENCE)?;
        }
        self.next = (self.next + 1) % FRAMES;
        self.runs += 1;
        Ok(())
    }

    /// Of both processes.
    fn bytes_copied(&self) -> Option<u64> {
        let all = self.writer.bytes_copied() + self.other.bytes_copied().ok()?;
        all.checked_div(self.runs)
    }
}

/// The other process: its device reads each frame.
#[derive(Debug)]
pub struct Consumer(Party);

impl Consumer {
    /// Attaches the memory.
    ///
    /// # Errors
    /// When there is no device, or it refuses the memory.
    pub fn serve(socket: &Socket, memory: &SharedMemory, fds: Vec<OwnedFd>) -> Result<()> {
        let vulkan = Vulkan::open(&Machine::device_name())?;
        let desc: BufferDesc = desc("received", memory.size());
        let buffers = fds.into_iter().map(|fd| {
            let dmabuf = received_dmabuf(memory.size(), &fd, memory.modifier, &memory.planes)?;
            Ok(SharedBuffer::from_dmabuf(desc.clone(), dmabuf)?)
        });
        let buffers = buffers.collect::<Result<Vec<_>>>()?;
        let reader = Party::new(&vulkan, &buffers, Access::Read)?;
        socket.answer(&mut Self(reader.for_another_process()))
    }
}

impl Answer for Consumer {
    fn frame(&mut self, index: usize, drawn: Option<OwnedFd>) -> Result<Option<OwnedFd>> {
        if let Some(drawn) = drawn {
            let drawn = Fence::from(SyncFile::new(drawn)?);
            self.0.used_elsewhere(index, Access::Write, &drawn)?;
        }
        let read = sync_file(&self.0.submit(index)?)?;
        Ok(read.map(SyncFile::into_fd))
    }

    fn bytes_copied(&self) -> u64 {
        self.0.bytes_copied()
    }
}
