//! The same operations as others do them.
//!
//! They are linked with the feature `peers` only: they are heavy.

use anyhow::Result;

use crate::{By, Machine, Opened, OperationKind, Size};

/// Gets a peer's side of an operation ready.
///
/// # Errors
/// When the machine lacks what it takes; it says what.
pub fn open(kind: OperationKind, by: By, machine: &Machine, size: Size) -> Result<Opened> {
    let _ = (kind, by, machine, size);
    Ok(Opened::Absent(
        "built without the feature `peers`".to_owned(),
    ))
}
