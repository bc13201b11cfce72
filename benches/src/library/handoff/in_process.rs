//! From one Vulkan device to another of the same process.

use anyhow::Result;
use dmashare::Access;

use super::Party;
use super::party::PATIENCE;
use crate::floor::Exported;
use crate::floor::handoff::FRAMES;
use crate::library::shared_buffer;
use crate::{Machine, Operation, Size};

/// A frame is drawn by one device and read by another, and the end of the reading is waited for.
#[derive(Debug)]
pub struct Handoff {
    writer: Party,
    reader: Party,
    next: usize,
    runs: u64,
    // Their memory.
    _exported: Vec<Exported>,
}

impl Handoff {
    /// # Errors
    /// When the device can share no image of this size.
    pub fn open(machine: &Machine, size: Size) -> Result<Self> {
        let exporter = machine.floor_exporter(size)?;
        let exported = (0..FRAMES).map(|_| exporter.export());
        let exported = exported.collect::<Result<Vec<_>>>()?;
        let buffers = exported
            .iter()
            .map(|image| shared_buffer("handed", size, image));
        let buffers = buffers.collect::<Result<Vec<_>>>()?;
        Ok(Self {
            writer: Party::new(machine.exporter(), &buffers, Access::Write)?,
            reader: Party::new(machine.importer(), &buffers, Access::Read)?,
            next: 0,
            runs: 0,
            _exported: exported,
        })
    }
}

impl Operation for Handoff {
    fn run(&mut self) -> Result<()> {
        self.writer.submit(self.next)?;
        let read = self.reader.submit(self.next)?;
        self.next = (self.next + 1) % FRAMES;
        self.runs += 1;
        Ok(read.wait(PATIENCE)?)
    }

    fn bytes_copied(&self) -> Option<u64> {
        let all = self.writer.bytes_copied() + self.reader.bytes_copied();
        all.checked_div(self.runs)
    }
}
