//! A buffer is moved out of the device's memory and back.

use std::time::Duration;

use anyhow::{Result, ensure};
use dmashare::host::HostMemory;
use dmashare::{AccessConstraint, Placement, Placements, SharedBuffer};
use dmashare_vk::{Device, MovableImages};

use super::desc;
use crate::{Machine, Operation, Size};

/// Longer than any copy takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether memory that a buffer has left is kept for its next move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// It is: a move finds its memory there.
    Kept,
    /// It is not: each move makes new memory.
    None,
}

/// A buffer is moved to host memory and back, each time waited for.
#[derive(Debug)]
pub struct Eviction {
    buffer: SharedBuffer,
    device: Device,
}

impl Eviction {
    /// # Errors
    /// When the device can make no image of this size, or there is no host memory for dma-bufs.
    pub fn open(machine: &Machine, size: Size, pool: Pool) -> Result<Self> {
        let device = Machine::adopt(machine.exporter())?;
        let bytes = match pool {
            Pool::Kept => u64::MAX,
            Pool::None => 0,
        };
        let images = MovableImages::with_pool(&device, Some(HostMemory::open()?), bytes);
        let wanted = AccessConstraint::placements(Placements::DEVICE);
        let buffer = SharedBuffer::new_dynamic(&images, desc("evicted", size), &wanted)?;
        let mut this = Self { buffer, device };
        // The pool gets its first memory.
        this.run()?;
        Ok(this)
    }

    fn move_to(&self, placement: Placement) -> Result<()> {
        let wanted = AccessConstraint::placements(placement.into());
        self.buffer.move_to(&wanted)?.wait(PATIENCE)?;
        self.device.dispatch();
        // The old memory goes to the pool, or is freed.
        ensure!(self.buffer.dispatch() == 1, "old memory is still in use");
        Ok(())
    }
}

impl Operation for Eviction {
    fn run(&mut self) -> Result<()> {
        self.move_to(Placement::Host)?;
        self.move_to(Placement::Device)
    }
}
