//! What sharing costs with dmashare, beside the same work written directly with ash and ioctls.
//!
//! [`floor`] is that work without the library, [`library`] with it, and [`peers`] as others do it.
//! [`OperationKind`] lists the operations and opens any side on a [`Machine`]; [`fn@bench`] measures a
//! suite of them with criterion, in turns, and leaves what criterion has no place for in [`Results`].
//! [`counters`] counts what each side does, and holds the library to a table. [`contract`] is what the
//! contract costs by itself, without any device, [`negotiating`] what finding a layout for all does, and
//! [`report`] is what is made of all results.

pub mod contract;
pub mod counters;
pub mod floor;
pub mod library;
pub mod negotiating;
pub mod other_process;
pub mod peers;
pub mod report;

mod bench;
mod machine;
mod machine_facts;
mod operation;
mod operation_kind;
mod operation_runs;
mod parameter;
mod results;
mod screen;
mod size;

pub use bench::{bench, exit_code, output_directory};
pub use machine::{FORMAT, FOURCC, Machine, USAGE, VULKAN_USAGE};
pub use machine_facts::{CardFacts, MachineFacts, VulkanFacts};
pub use operation::{Opened, Operation};
pub use operation_kind::{By, OperationKind, Suite};
pub use operation_runs::{CountedRuns, OperationArguments, OperationRuns, run_operations};
pub use parameter::Parameter;
pub use results::{Absence, PairedSamples, Results};
pub use screen::Screen;
pub use size::Size;
