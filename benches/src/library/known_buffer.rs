//! A buffer that the device knows is used once more.

use std::time::Duration;

use anyhow::{Context, Result};
use dmashare::{Fence, StaticAttachment};
use dmashare_vk::Device;

use super::shared_buffer;
use crate::floor::{Exported, Gate};
use crate::{Machine, Operation, Size};

/// How many buffers take turns, so that the last use of each is over when it is used again, as in a
/// program that draws with several buffers.
pub(crate) const BUFFERS: usize = 8;

/// A buffer that the device knows is used once more: map, submission, vkQueueSubmit2 without command
/// buffers, commit.
#[derive(Debug)]
pub struct KnownBuffer {
    // First: the device waits for its last work, which may be behind it.
    gate: Gate,
    device: Device,
    attachments: Vec<StaticAttachment<Device>>,
    next: usize,
    last: Option<Fence>,
    runs: u64,
    // Their memory.
    _exported: Vec<Exported>,
}

impl KnownBuffer {
    /// # Errors
    /// When the device can share no image of this size.
    pub fn open(machine: &Machine, size: Size) -> Result<Self> {
        let device = Machine::adopt(machine.importer())?;
        let exporter = machine.floor_exporter(size)?;
        let mut attachments = Vec::new();
        let mut exported = Vec::new();
        for _ in 0..BUFFERS {
            let image = exporter.export()?;
            attachments.push(shared_buffer("known", size, &image)?.attach(&device)?);
            exported.push(image);
        }
        Ok(Self {
            gate: Gate::new(machine.importer())?,
            device,
            attachments,
            next: 0,
            last: None,
            runs: 0,
            _exported: exported,
        })
    }
}

impl Operation for KnownBuffer {
    fn prepare(&mut self, _times: usize) -> Result<()> {
        self.gate.close()
    }

    fn run(&mut self) -> Result<()> {
        let mapping = self.attachments[self.next].map()?;
        let submission = self.device.submission([mapping.write()])?;
        // SAFETY: there are no command buffers.
        let fence = unsafe { submission.submit(&[]) }?;
        self.last = Some(fence);
        self.next = (self.next + 1) % BUFFERS;
        self.runs += 1;
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        self.gate.open()?;
        let last = self.last.take().context("nothing was submitted")?;
        Ok(last.wait(Duration::from_secs(10))?)
    }

    fn bytes_copied(&self) -> Option<u64> {
        self.device.bytes_copied().checked_div(self.runs)
    }
}
