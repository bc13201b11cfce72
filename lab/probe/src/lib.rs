//! The kernel's own view, for tests: which files this process has open, which dma-bufs there are and
//! who is attached to them, fences that wait until they are told, and allocations that fail on
//! demand. And a time limit, for tests of what must not hang.
//!
//! What has no error to return panics with a message when the kernel does not offer it: a test that
//! needs it and can't find it must fail, not pass. `cargo lab test` runs tests where it is there.

mod bufinfo;
mod descriptors;
mod fail_nth;
mod sw_sync;
mod time_limit;
mod vgem;
mod vkms;

pub use bufinfo::{BUFINFO, BufInfo, attached_name, bufinfo, parse_bufinfo, read_bufinfo};
pub use descriptors::{OpenFile, open_files};
pub use fail_nth::{FailNth, for_each_failing_allocation};
pub use sw_sync::{SwSyncTimeline, sw_sync_deadline};
pub use time_limit::within_time_limit;
pub use vgem::{Vgem, VgemBuffer, VgemFence};
pub use vkms::VkmsDisplay;

/// Panics, naming what is missing and how to run the test where it is there.
pub(crate) fn missing(what: &str, error: &dyn std::fmt::Display) -> ! {
    panic!("{what}: {error}. This test needs the lab's kernel: run it with `cargo lab test`.");
}
