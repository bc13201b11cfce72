//! What sharing costs with dmashare, beside the same work written directly with ash and ioctls.
//!
//! [`floor`] is that work without the library, [`library`] with it, and [`peers`] as others do it.
//! [`OperationKind`] lists the operations and opens any side on a [`Machine`]; [`fn@bench`] measures a
//! suite of them with criterion, in turns, and leaves what criterion has no place for in [`Results`].
//! [`contract`] is what the contract costs by itself, without any device, and [`report`] what is made of
//! all results. The program `operation` runs one side alone between markers, for counting its system
//! calls:
//! `tests/system_calls.rs` holds the exact table.

pub mod contract;
pub mod floor;
pub mod library;
pub mod peers;
pub mod report;

mod bench;
mod machine;
mod machine_facts;
mod operation;
mod operation_kind;
mod results;
mod size;

pub use bench::{bench, exit_code};
pub use machine::{FORMAT, FOURCC, Machine, USAGE};
pub use machine_facts::{CardFacts, MachineFacts, VulkanFacts};
pub use operation::{Opened, Operation};
pub use operation_kind::{By, OperationKind, Suite};
pub use results::{Absence, PairedSamples, Results};
pub use size::Size;
