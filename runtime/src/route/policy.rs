//! The route that an application wants, and the one that it got.

use std::fmt;

use serde::Serialize;

use crate::memory::placement::Placement;

/// The application's preference among routes; see [`Routes::attach`](crate::route::Routes::attach).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RoutePolicy {
    /// The buffer itself, moved to where the device reaches it if necessary. A shadow if that is
    /// impossible.
    #[default]
    Automatic,
    /// The buffer itself if the device takes it where it is, else a shadow. The buffer is not moved for
    /// this device.
    KeepInPlace,
    /// The buffer itself or an error, for content that must not be copied.
    DirectOnly,
    /// Always a shadow.
    ShadowOnly,
}

/// How a device reaches a buffer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// The device uses the buffer's own memory.
    Direct,
    /// The device uses a copy.
    Shadow(ShadowRoute),
}

/// A route by a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShadowRoute {
    /// Why the device does not use the buffer itself.
    pub reason: ShadowReason,
    /// Name of the copy, as in reports.
    pub shadow: String,
    /// Name of the exporter of the copy's memory.
    pub exporter: String,
    /// Where the copy is now.
    pub placement: Placement,
    /// Name of the engine that copies.
    pub engine: String,
}

/// Why a device does not use a buffer itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ShadowReason {
    /// The application asked for a copy.
    Requested,
    /// The device takes the buffer only in another place, and the policy keeps it where it is.
    WouldMove {
        /// What the device demands of the memory.
        demand: String,
    },
    /// The buffer cannot have the place or the layout that the device demands.
    Unreachable {
        /// What prevents it.
        reason: String,
    },
    /// The device refused the memory.
    Refused {
        /// Error that the device reported.
        error: String,
    },
    /// The device refused such memory before and was not asked again.
    RefusedBefore {
        /// Error that the device reported then.
        error: String,
    },
}

impl fmt::Display for ShadowReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => f.write_str("a copy was requested"),
            Self::WouldMove { demand } => write!(f, "the policy keeps it in place, and {demand}"),
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
