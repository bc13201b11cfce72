//! What waits for its last work before it is destroyed.

use std::sync::{Arc, Weak};

use dmashare::Allocation;
use smallvec::SmallVec;

use crate::core::commands::{CommandCache, OneTimeCommands};
use crate::core::staging::StagingBuffer;
use crate::device::plain_buffer::PlainBuffer;
use crate::image::Image;
use crate::image::shared_image::SharedImage;

/// An object that goes once its fences are over. None of them holds the device's handle, so a queue
/// of them inside the device is no cycle.
#[derive(Debug)]
pub(crate) enum Retired {
    /// An image that no mapping holds any more.
    Image(#[expect(dead_code, reason = "held to be dropped later")] Image),
    /// A plain buffer.
    Buffer(#[expect(dead_code, reason = "held to be dropped later")] PlainBuffer),
    /// Commands that were not waited for to the end, with their staging memory.
    Commands(
        #[expect(dead_code, reason = "held to be dropped later")] OneTimeCommands,
        #[expect(dead_code, reason = "held to be dropped later")] Option<StagingBuffer>,
    ),
    /// Commands that touch images of nobody but the exporter, with the images.
    InFlight(#[expect(dead_code, reason = "held to be dropped later")] InFlight),
    /// Memory that no buffer has any more, and that no pool keeps.
    Allocation(#[expect(dead_code, reason = "held to be dropped later")] Allocation),
}

/// Commands that were submitted, and the images that they touch. When it is dropped, which is when
/// the work is over, the command buffer goes back to where it came from.
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

    /// The command buffer, to be submitted.
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
