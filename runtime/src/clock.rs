//! Points in time, for reports.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::{Serialize, Serializer};

use crate::sys::cycles::cycles;

/// How many cycles a reading of the clock stays recent: 2 ms at 4 GHz, 8 ms at 1 GHz.
const RECENT_CYCLES: u64 = 1 << 23;

thread_local! {
    /// The cycle counter and the clock at this thread's last reading for [`Moment::recent`].
    static LAST: Cell<Option<(u64, Moment)>> = const { Cell::new(None) };
}

/// A point in time on the kernel's monotonic clock, which kernel events (page flips, traces) also use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// The current time (`CLOCK_MONOTONIC`).
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
        Self(time.unwrap_or_default())
    }

    /// The current time, or a time up to a few milliseconds ago, for records that are made often.
    /// On some kernels (user-mode Linux, virtual machines without a usable clock page) reading the
    /// clock is a system call, and costs as much as an ioctl.
    pub(crate) fn recent() -> Self {
        let Some(cycles) = cycles() else {
            return Self::now();
        };
        LAST.with(|last| match last.get() {
            // A counter that went back is another processor's. The difference wraps to a huge number.
            Some((before, moment)) if cycles.wrapping_sub(before) < RECENT_CYCLES => moment,
            _ => {
                let now = Self::now();
                last.set(Some((cycles, now)));
                now
            }
        })
    }

    /// Converts the timestamp of a kernel event.
    pub fn from_monotonic(time: Duration) -> Self {
        Self(time)
    }

    /// The time since the clock's epoch.
    pub fn as_monotonic(self) -> Duration {
        self.0
    }

    /// How long ago this was.
    pub fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}

/// Displays as "1.204 s ago".
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s ago", self.elapsed().as_secs_f64())
    }
}

/// Serializes as seconds on the monotonic clock.
impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recent_moment_is_at_most_a_few_milliseconds_old_and_never_in_the_future() {
        for pause in [0, 0, 1, 20, 0] {
            std::thread::sleep(Duration::from_millis(pause));
            let before = Moment::now();
            let recent = Moment::recent();
            assert!(recent <= Moment::now());
            let age = before.0.saturating_sub(recent.0);
            // Counters run at 800 MHz or faster.
            assert!(age < Duration::from_millis(12), "{age:?}");
        }
    }
}
