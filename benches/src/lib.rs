//! What sharing costs with dmashare, beside the same work written directly with ash and ioctls.
//!
//! [`floor`] is that work without the library, [`library`] with it. [`OperationKind`] lists the
//! operations and opens either side on a [`Machine`]; [`fn@bench`] measures both with criterion, in
//! turns. [`contract`] is what the contract costs by itself, without any device. The program `operation` runs one side alone between markers, for counting its system calls:
//! `tests/system_calls.rs` holds the exact table.

pub mod contract;
pub mod floor;
pub mod library;

mod bench;
mod machine;
mod operation;
mod operation_kind;
mod size;

pub use bench::{bench, exit_code};
pub use machine::{FORMAT, FOURCC, Machine, USAGE};
pub use operation::Operation;
pub use operation_kind::{By, OperationKind};
pub use size::Size;
