//! From one Vulkan device to another of the same process.

use anyhow::Result;

use super::{FRAMES, Produced, Received};
use crate::floor::{Exported, Submitter};
use crate::{Machine, Operation, Size};

/// A frame is drawn by one device and read by another, and the end of the reading is waited for.
#[derive(Debug)]
pub struct Handoff {
    writer: Submitter,
    reader: Submitter,
    frames: Vec<(Produced, Received)>,
    next: usize,
    // Their memory.
    _exported: Vec<Exported>,
}

impl Handoff {
    /// # Errors
    /// When the device can share no image of this size.
    pub fn open(machine: &Machine, size: Size) -> Result<Self> {
        let exporter = machine.floor_exporter(size)?;
        let mut frames = Vec::new();
        let mut exported = Vec::new();
        for _ in 0..FRAMES {
            let image = exporter.export()?;
            let importer = machine.floor_importer(size, &image);
            let produced = Produced::new(machine.exporter(), &image)?;
            let fd = image.fd.try_clone()?;
            frames.push((produced, Received::new(machine.importer(), &importer, fd)?));
            exported.push(image);
        }
        Ok(Self {
            writer: Submitter::new(machine.exporter())?,
            reader: Submitter::new(machine.importer())?,
            frames,
            next: 0,
            _exported: exported,
        })
    }
}

impl Operation for Handoff {
    /// When the reading is over, so is the drawing: the buffer may be drawn into again, and no fence
    /// has to come back.
    fn run(&mut self) -> Result<()> {
        let (produced, received) = &mut self.frames[self.next];
        let drawn = produced.draw(&mut self.writer)?;
        received.read(&mut self.reader, drawn)?;
        self.next = (self.next + 1) % FRAMES;
        self.reader.wait()
    }

    fn bytes_copied(&self) -> Option<u64> {
        Some(0)
    }
}
