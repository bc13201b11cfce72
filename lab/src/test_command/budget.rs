//! How long the tests may take: three tiers, each with a budget of processor time.
//!
//! A budget of wall time would fail on a busy machine and pass on an idle one. The processor time of
//! the guests, user and system, does not count what other programs take, and says in how many minutes
//! so many processors are done if they have nothing else to do. It does not count time in which a
//! guest waits, for a display's next refresh for example; the table of the run shows both.

use std::time::Duration;

use serde::Serialize;

/// Which tests run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tier {
    /// `cargo lab test`: what every change must pass. At most 25 minutes on two idle processors.
    Change,
    /// `cargo lab test --long`: at most an hour on two idle processors.
    Long,
}

impl Tier {
    /// The processor time that all executables may take together. Guests wait now and then, and the
    /// end of a run leaves a processor idle: four fifths of the processors' time is theirs.
    pub(crate) fn total(self) -> Duration {
        let minutes_on_two = match self {
            Self::Change => 25,
            Self::Long => 60,
        };
        Duration::from_secs(minutes_on_two * 60 * 2 * 4 / 5)
    }

    /// The processor time that one executable may take. One that takes much more than the others
    /// decides how long the run takes: it is to be split.
    pub(crate) fn of_one(self) -> Duration {
        Duration::from_secs(match self {
            Self::Change => 90,
            Self::Long => 600,
        })
    }

    /// The time limit of one executable in seconds, unless another is given.
    pub(crate) fn time_limit(self) -> u32 {
        match self {
            Self::Change => 600,
            Self::Long => 1800,
        }
    }

    /// The file of the durations that are remembered.
    pub(crate) fn durations(self) -> &'static str {
        match self {
            Self::Change => "test-durations.json",
            Self::Long => "long-test-durations.json",
        }
    }
}
