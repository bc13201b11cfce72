//! Two devices that share nothing.

use std::hint::black_box;

use anyhow::Result;

use super::frame::{self, COPIED, FILLED, copy_to_buffer, copy_to_image, to_layout};
use crate::floor::{Commands, Exported, HostBuffer, Image, Submitter};
use crate::{Machine, Operation, Size};

/// A frame is read back from one device, copied by the CPU, and uploaded to the other.
#[derive(Debug)]
pub struct Staging {
    writer: Submitter,
    read_back: Commands,
    reader: Submitter,
    upload: Commands,
    from: HostBuffer,
    to: HostBuffer,
    image: Image,
    _exported: Exported,
}

impl Staging {
    /// # Errors
    /// When a device has no room, or the copy is not what was copied.
    pub fn open(machine: &Machine, size: Size) -> Result<Self> {
        let mut from = HostBuffer::new(machine.exporter(), size.bytes())?;
        let exported = frame::export_filled(machine.exporter(), size, &mut from)?;
        let pixels = from.bytes().to_vec();
        from.bytes_mut().fill(0);
        let mut to = HostBuffer::new(machine.importer(), size.bytes())?;
        to.bytes_mut().fill(0);
        let image = frame::private_image(machine.importer(), size)?;
        let general = ash::vk::ImageLayout::GENERAL;
        let read_back = Commands::record(machine.exporter(), |recording| {
            recording.barrier(to_layout(exported.image.raw(), general, COPIED));
            copy_to_buffer(recording, exported.image.raw(), &from, size);
        })?;
        let upload = Commands::record(machine.importer(), |recording| {
            recording.barrier(to_layout(image.raw(), general, FILLED));
            copy_to_image(recording, &to, image.raw(), size);
        })?;
        let mut this = Self {
            writer: Submitter::new(machine.exporter())?,
            read_back,
            reader: Submitter::new(machine.importer())?,
            upload,
            from,
            to,
            image,
            _exported: exported,
        };
        this.run()?;
        frame::check(machine.importer(), &this.image, size, &pixels)?;
        Ok(this)
    }
}

impl Operation for Staging {
    fn run(&mut self) -> Result<()> {
        self.writer.submit_with(&self.read_back, None, None)?;
        self.writer.wait()?;
        let from = black_box(self.from.bytes());
        self.to.bytes_mut().copy_from_slice(from);
        self.reader.submit_with(&self.upload, None, None)?;
        self.reader.wait()
    }

    /// To host memory, to the other host memory, to the other image.
    fn bytes_copied(&self) -> Option<u64> {
        Some(3 * self.from.bytes().len() as u64)
    }
}
