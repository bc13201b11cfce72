//! Objects that wait for their last work before they are destroyed.

use std::sync::{Arc, Weak};

use dmashare::Allocation;
use smallvec::SmallVec;

use crate::core::commands::{CommandCache, OneTimeCommands};
use crate::core::staging::StagingBuffer;
use crate::device::plain_buffer::PlainBuffer;
use crate::image::Image;
use crate::image::shared_image::SharedImage;

/// An object that is dropped once its fences are over. None holds the device's handle, so a queue
/// of them in the device makes no reference cycle.
#[derive(Debug)]
pub(crate) enum Retired {
    /// An image that no mapping holds any more.
    Image(#[expect(dead_code, reason = "held to be dropped later")] Image),
    /// A plain buffer.
    Buffer(#[expect(dead_code, reason = "held to be dropped later")] PlainBuffer),
    /// Commands whose wait failed, with their staging memory.
    Commands(
        #[expect(dead_code, reason = "held to be dropped later")] OneTimeCommands,
        #[expect(dead_code, reason = "held to be dropped later")] Option<StagingBuffer>,
    ),
    /// Commands that touch only the exporter's own images, with the images.
    InFlight(#[expect(dead_code, reason = "held to be dropped later")] InFlight),
    /// Memory that no buffer uses and no pool keeps.
    Allocation(#[expect(dead_code, reason = "held to be dropped later")] Allocation),
}

/// Submitted commands and the images they touch. It is dropped when the work is over; the command
/// buffer then returns to its cache.
#[derive(Debug)]
pub(crate) struct InFlight {
    commands: Option<OneTimeCommands>,
    home: Weak<CommandCache>,
    _images: SmallVec<[Arc<SharedImage>; 2]>,
}

impl InFlight {
    pub(crate) fn new(
        commands: OneTimeCommands,
        home: &Arc<CommandCache>,
        images: impl IntoIterator<Item = Arc<SharedImage>>,
    ) -> Self {
        Self {
            commands: Some(commands),
            home: Arc::downgrade(home),
            _images: images.into_iter().collect(),
        }
    }

    /// The command buffer to submit.
    pub(crate) fn commands(&self) -> Option<ash::vk::CommandBuffer> {
        self.commands.as_ref().map(OneTimeCommands::raw)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let (Some(commands), Some(home)) = (self.commands.take(), self.home.upgrade()) {
            home.put(commands);
        }
    }
}
