//! The `VkDevice` and its queue, and the command buffers, barriers and staging memory used on it.

pub(crate) mod barrier;
pub(crate) mod commands;
pub(crate) mod device_core;
pub(crate) mod queue_lock;
pub(crate) mod staging;
