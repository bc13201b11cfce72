//! The frames on either side.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use anyhow::Result;
use ash::vk;

use crate::floor::{
    Commands, Exported, Image, Importer, Semaphore, Signal, Submitter, Vulkan, foreign,
};

/// How many buffers take turns, as in a program that draws one while others are shown or read.
pub const FRAMES: usize = 3;

/// Commands that take the image, use it, and give it back; no pixel is touched, because what is
/// measured is what sharing costs and not what drawing does.
///
/// # Errors
/// When Vulkan refuses.
pub fn commands_for(
    vulkan: &Arc<Vulkan>,
    image: vk::Image,
    used: foreign::Use,
) -> Result<Commands> {
    Commands::record(vulkan, |recording| {
        recording.barrier(foreign::take(vulkan, image, used));
        recording.barrier(foreign::give(vulkan, image, used, vk::ImageLayout::GENERAL));
    })
}

/// A frame of the device that draws.
#[derive(Debug)]
pub struct Produced {
    commands: Commands,
    drawn: Signal,
    /// Of the last drawing.
    point: u64,
}

impl Produced {
    /// A frame in an image of this device, which becomes everybody's.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn new(vulkan: &Arc<Vulkan>, exported: &Exported) -> Result<Self> {
        let image = exported.image.raw();
        let first = Commands::record(vulkan, |recording| {
            let undefined = vk::ImageLayout::UNDEFINED;
            recording.barrier(foreign::give(vulkan, image, foreign::DRAWN, undefined));
        })?;
        let mut submitter = Submitter::new(vulkan)?;
        submitter.submit_with(&first, None, None)?;
        submitter.wait()?;
        Ok(Self {
            commands: commands_for(vulkan, image, foreign::DRAWN)?,
            drawn: Signal::new(vulkan)?,
            point: 0,
        })
    }

    /// Submits the drawing when the last one is over, and gives the sync_file that signals with it;
    /// `None` if it is there already.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn draw(&mut self, submitter: &mut Submitter) -> Result<Option<OwnedFd>> {
        self.submit(submitter)?;
        self.drawn.export_unless_done(submitter)
    }

    /// The same, and there is a sync_file unless the driver has none for what is there already.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn draw_for_others(&mut self, submitter: &mut Submitter) -> Result<Option<OwnedFd>> {
        self.submit(submitter)?;
        self.drawn.export()
    }

    fn submit(&mut self, submitter: &mut Submitter) -> Result<()> {
        submitter.wait_for(self.point)?;
        let (left_over, signal) = self.drawn.begin();
        submitter.submit_with(&self.commands, left_over, Some(signal))?;
        self.point = submitter.point();
        Ok(())
    }
}

/// A frame of the device that reads.
#[derive(Debug)]
pub struct Received {
    commands: Commands,
    drawn: Semaphore,
    read: Semaphore,
    /// Of the last reading.
    point: u64,
    _image: Image,
}

impl Received {
    /// Imports a frame.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn new(vulkan: &Arc<Vulkan>, importer: &Importer, fd: OwnedFd) -> Result<Self> {
        let image = importer.import(fd)?;
        Ok(Self {
            commands: commands_for(vulkan, image.raw(), foreign::READ)?,
            drawn: Semaphore::for_import(vulkan)?,
            read: Semaphore::for_export(vulkan)?,
            point: 0,
            _image: image,
        })
    }

    /// Submits the reading when the last one is over; it begins when `drawn` has signalled (`None`:
    /// at once).
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn read(&mut self, submitter: &mut Submitter, drawn: Option<OwnedFd>) -> Result<()> {
        submitter.wait_for(self.point)?;
        let wait = self.drawn.wait_for(drawn)?;
        submitter.submit_with(&self.commands, wait, None)?;
        self.point = submitter.point();
        Ok(())
    }

    /// The same, and gives the sync_file that signals when it is over (`None`: it is already).
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn read_for_others(
        &mut self,
        submitter: &mut Submitter,
        drawn: Option<OwnedFd>,
    ) -> Result<Option<OwnedFd>> {
        submitter.wait_for(self.point)?;
        let wait = self.drawn.wait_for(drawn)?;
        submitter.submit_with(&self.commands, wait, Some(&self.read))?;
        self.point = submitter.point();
        self.read.export()
    }
}
