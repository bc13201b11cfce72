//! The same operations as others do them.
//!
//! They are linked with the feature `peers` only: they are heavy. Each goes through its public
//! interface alone, as its own users would call it, and does what the floor does as far as that
//! interface goes. Where it does less, or something else, the operation's own page says so.

#[cfg(feature = "peers")]
mod gbm;
#[cfg(feature = "peers")]
mod render_node;
#[cfg(feature = "peers")]
mod smithay;
#[cfg(feature = "peers")]
mod wgpu;

use anyhow::Result;

use crate::{By, Machine, Opened, OperationKind, Size};

/// Gets a peer's side of an operation ready. One that fails on this machine is absent, with its error
/// as the reason: the others are measured without it.
///
/// # Errors
/// None.
#[cfg(feature = "peers")]
pub fn open(kind: OperationKind, by: By, machine: &Machine, size: Size) -> Result<Opened> {
    let opened = match by {
        By::Smithay => self::smithay::open(kind, machine, size),
        By::Gbm => self::gbm::open(kind, machine, size),
        By::Wgpu => self::wgpu::open(kind, machine, size),
        By::Dmashare | By::Floor | By::CheckedFloor => Ok(absent("it is no peer")),
    };
    Ok(opened.unwrap_or_else(|error| Opened::Absent(format!("it fails here: {error:#}"))))
}

/// Gets a peer's side of an operation ready: without the feature `peers` there is none.
///
/// # Errors
/// None.
#[cfg(not(feature = "peers"))]
pub fn open(kind: OperationKind, by: By, machine: &Machine, size: Size) -> Result<Opened> {
    let _ = (kind, by, machine, size);
    Ok(absent("built without the feature `peers`"))
}

fn absent(reason: &str) -> Opened {
    Opened::Absent(reason.to_owned())
}

/// What every peer answers to an operation that none of them has.
#[cfg(feature = "peers")]
const NOTHING_FOR_IT: &str = "its interface has nothing for this";
