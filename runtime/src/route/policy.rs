//! Which route an application wants, and which one it got.

use std::fmt;

use serde::Serialize;

use crate::memory::placement::Placement;

/// What an application prefers; see [`Routes::attach`](crate::route::Routes::attach).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RoutePolicy {
    /// The buffer itself, moved if need be to where the device reaches it; a shadow if that cannot be.
    #[default]
    Automatic,
    /// The buffer itself if the device takes it where it is, else a shadow: the buffer is not moved for
    /// this device's sake.
    KeepInPlace,
    /// The buffer itself or nothing: what must not be copied.
    DirectOnly,
    /// A shadow in any case.
    ShadowOnly,
}

/// How a device gets at a buffer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// It uses the buffer's own memory.
    Direct,
    /// It uses a copy.
    Shadow(ShadowRoute),
}

/// The way over a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShadowRoute {
    /// Why it is not the buffer itself.
    pub reason: ShadowReason,
    /// The copy's name, as in reports.
    pub shadow: String,
    /// The exporter of the copy's memory.
    pub exporter: String,
    /// Where the copy is now.
    pub placement: Placement,
    /// The engine that copies.
    pub engine: String,
}

/// Why a device does not use a buffer itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ShadowReason {
    /// The application asked for a copy.
    Requested,
    /// The device takes the buffer only elsewhere, and the application keeps it where it is.
    WouldMove {
        /// What the device demands.
        demand: String,
    },
    /// The buffer cannot be where, or lie as, the device demands.
    Unreachable {
        /// What is in the way.
        reason: String,
    },
    /// The device refused the memory.
    Refused {
        /// The device's error.
        error: String,
    },
    /// The device refused such memory before, and was not asked again.
    RefusedBefore {
        /// The device's error at that time.
        error: String,
    },
}

impl fmt::Display for ShadowReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => f.write_str("a copy was asked for"),
            Self::WouldMove { demand } => write!(f, "it is not to be moved, and {demand}"),
            Self::Unreachable { reason } => f.write_str(reason),
            Self::Refused { error } => f.write_str(error),
            Self::RefusedBefore { error } => write!(f, "{error} (remembered)"),
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("direct"),
            Self::Shadow(route) => write!(
                f,
                "a shadow of {} in {}, copied by {}, because {}",
                route.exporter, route.placement, route.engine, route.reason
            ),
        }
    }
}
