//! One of the devices, with its images of all frames.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use dmashare::{Access, Fence, Mapping, SharedBuffer, StaticAttachment, SyncFile};
use dmashare_vk::Device;

use crate::Machine;
use crate::floor::{Commands, Vulkan, foreign};

/// Longer than any work here takes.
pub(in crate::library) const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Frame {
    // Before the mapping: the commands name its image.
    commands: Commands,
    attachment: StaticAttachment<Device>,
    _mapping: Mapping<Device>,
    last: Option<Fence>,
}

/// A device that draws all frames, or reads them.
#[derive(Debug)]
pub struct Party {
    device: Device,
    frames: Vec<Frame>,
    access: Access,
    /// Its fences leave the process.
    exports: bool,
}

impl Party {
    /// Attaches the frames, and records commands that take the image, use it and give it back.
    ///
    /// # Errors
    /// When the device cannot use them.
    pub fn new(vulkan: &Arc<Vulkan>, buffers: &[SharedBuffer], access: Access) -> Result<Self> {
        let device = Machine::adopt(vulkan)?;
        let (stage, accesses) = match access {
            Access::Read => foreign::READ,
            Access::Write => foreign::DRAWN,
        };
        let frames = buffers.iter().map(|buffer| {
            let attachment = buffer.attach(&device)?;
            let mapping = attachment.map()?;
            let image = mapping.object();
            let commands = Commands::record(vulkan, |recording| {
                recording.barrier(image.acquire(stage, accesses));
                recording.barrier(image.release(stage, accesses));
            })?;
            Ok(Frame {
                commands,
                attachment,
                _mapping: mapping,
                last: None,
            })
        });
        Ok(Self {
            frames: frames.collect::<Result<_>>()?,
            device,
            access,
            exports: false,
        })
    }

    /// The same, whose fences are for another process.
    pub fn for_another_process(mut self) -> Self {
        self.exports = true;
        self
    }

    /// Maps a frame and submits its commands, when their last run is over. They wait for whoever used
    /// the frame before.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn submit(&mut self, index: usize) -> Result<Fence> {
        let frame = self.frames.get_mut(index);
        let frame = frame.context("there is no such frame")?;
        if let Some(last) = frame.last.take() {
            last.wait(PATIENCE)?;
        }
        let mapping = frame.attachment.map()?;
        let used = match self.access {
            Access::Read => mapping.read(),
            Access::Write => mapping.write(),
        };
        let mut submission = self.device.submission([used])?;
        if self.exports {
            submission = submission.exportable()?;
        }
        let commands =
            [ash::vk::CommandBufferSubmitInfo::default().command_buffer(frame.commands.raw())];
        // SAFETY: the commands are of this device's queue family and not pending, and wait for the
        // queue's rest before they go.
        let fence = unsafe { submission.submit(&commands) }?;
        frame.last = Some(fence.clone());
        Ok(fence)
    }

    /// Tells the library what another process does with a frame until `fence` signals.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn used_elsewhere(&self, index: usize, access: Access, fence: &Fence) -> Result<()> {
        let frame = self.frames.get(index).context("there is no such frame")?;
        let mapping = frame.attachment.map()?;
        let used = match access {
            Access::Read => mapping.read(),
            Access::Write => mapping.write(),
        };
        dmashare::Submission::begin([used])?.commit(fence);
        Ok(())
    }

    /// How many bytes the library has copied on this device.
    pub fn bytes_copied(&self) -> u64 {
        self.device.bytes_copied()
    }
}

/// A fence's sync_file, for another process; `None` if it has signalled and has none any more.
///
/// # Errors
/// When there is none though it is pending.
pub(super) fn sync_file(fence: &Fence) -> Result<Option<SyncFile>> {
    match fence.export_sync_file() {
        Ok(file) => Ok(Some(file)),
        Err(_) if fence.status() == dmashare::FenceStatus::Signalled => Ok(None),
        Err(error) => Err(error.into()),
    }
}
