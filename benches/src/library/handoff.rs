//! A frame goes from one device to another, and nothing is copied.

mod display;
mod in_process;
mod party;
mod processes;

pub use display::HandoffDisplay;
pub use in_process::Handoff;
pub(super) use party::PATIENCE;
pub use party::Party;
pub use processes::{Consumer, HandoffProcesses};
