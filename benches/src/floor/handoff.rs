//! A frame goes from one device to another, and nothing is copied.

mod display;
mod frames;
mod in_process;
mod processes;

pub use display::HandoffDisplay;
pub use frames::{FRAMES, Produced, Received, commands_for};
pub use in_process::Handoff;
pub use processes::{Consumer, HandoffProcesses};
