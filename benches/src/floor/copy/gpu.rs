//! The device that receives a shared image copies it.

use anyhow::Result;

use super::frame::{self, COPIED, FILLED, USAGE, copy_image, to_layout};
use crate::floor::{Commands, Exported, HostBuffer, Image, Importer, Submitter, foreign};
use crate::{FORMAT, Machine, Operation, Size};

/// One vkCmdCopyImage from the shared image to a private one, waited for.
#[derive(Debug)]
pub struct Gpu {
    submitter: Submitter,
    commands: Commands,
    size: Size,
    private: Image,
    _imported: Image,
    _exported: Exported,
}

impl Gpu {
    /// # Errors
    /// When the device can share no image of this size, or the copy is not what was copied.
    pub fn open(machine: &Machine, size: Size) -> Result<Self> {
        let mut pixels = HostBuffer::new(machine.exporter(), size.bytes())?;
        let exported = frame::export_filled(machine.exporter(), size, &mut pixels)?;
        let vulkan = machine.importer();
        let importer = Importer::new(
            vulkan,
            FORMAT,
            size.into(),
            USAGE,
            exported.modifier,
            &exported.planes,
        );
        let imported = importer.import(exported.fd.try_clone()?)?;
        let private = frame::private_image(vulkan, size)?;
        let (from, to) = (imported.raw(), private.raw());
        let general = ash::vk::ImageLayout::GENERAL;
        let commands = Commands::record(vulkan, |recording| {
            recording.barrier(foreign::take(vulkan, from, COPIED));
            recording.barrier(to_layout(to, general, FILLED));
            copy_image(recording, from, to, size);
            recording.barrier(foreign::give(vulkan, from, COPIED, general));
        })?;
        let mut this = Self {
            submitter: Submitter::new(vulkan)?,
            commands,
            size,
            private,
            _imported: imported,
            _exported: exported,
        };
        this.run()?;
        frame::check(vulkan, &this.private, size, pixels.bytes())?;
        Ok(this)
    }
}

impl Operation for Gpu {
    fn run(&mut self) -> Result<()> {
        self.submitter.submit_with(&self.commands, None, None)?;
        self.submitter.wait()
    }

    fn bytes_copied(&self) -> Option<u64> {
        Some(self.size.bytes())
    }
}
