//! The kernel's own view, for tests: the files that this process has open, all dma-bufs and the devices
//! attached to them, fences that a test signals, and allocations that fail on demand. Also a time limit
//! for tests of code that must not hang.
//!
//! A function that returns no error panics with a message if the kernel lacks what it needs, because a
//! test must then fail, not pass. `cargo lab test` runs tests on a kernel that has everything.

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

/// Panics with a message that names what is missing and how to run the test on the lab's kernel.
pub(crate) fn missing(what: &str, error: &dyn std::fmt::Display) -> ! {
    panic!("{what}: {error}. This test needs the lab's kernel: run it with `cargo lab test`.");
}
