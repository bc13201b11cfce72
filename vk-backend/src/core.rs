//! The `VkDevice` with its queue, and what is recorded and staged on it.

pub(crate) mod barrier;
pub(crate) mod commands;
pub(crate) mod device_core;
pub(crate) mod queue_lock;
pub(crate) mod staging;
