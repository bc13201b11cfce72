//! What waits for its last work before it is destroyed.

use crate::commands::OneTimeCommands;
use crate::staging::StagingBuffer;
use crate::{Image, PlainBuffer};

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
}
