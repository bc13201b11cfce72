//! Points in time, as reports give them.

use std::fmt;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::{Serialize, Serializer};

/// A point in time on the kernel's monotonic clock, which its events (page flips, traces) use, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// Now (`CLOCK_MONOTONIC`).
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
        Self(time.unwrap_or_default())
    }

    /// A time that an event of the kernel carries.
    pub fn from_monotonic(time: Duration) -> Self {
        Self(time)
    }

    /// The time since the clock began.
    pub fn as_monotonic(self) -> Duration {
        self.0
    }

    /// How long ago it was.
    pub fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}

/// "1.204 s ago".
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s ago", self.elapsed().as_secs_f64())
    }
}

/// As seconds on the monotonic clock.
impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}
