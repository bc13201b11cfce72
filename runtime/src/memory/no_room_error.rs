//! Why there is no room.

use crate::memory::pins::PinReport;
use crate::memory::placement::Placement;

/// Why a heap has no room for a buffer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResidencyError {
    /// It alone is larger than the whole budget.
    #[error("{bytes} bytes are more than the whole budget of {limit} bytes of {placement}")]
    TooLarge {
        /// Where.
        placement: Placement,
        /// What is needed.
        bytes: u64,
        /// The budget.
        limit: u64,
    },
    /// Nothing can be moved out of the way.
    #[error(
        "{placement} is full ({used} of {limit} bytes used, {bytes} needed) and nothing in it can move: {}",
        Holders(pins)
    )]
    Full {
        /// Where.
        placement: Placement,
        /// What is needed.
        bytes: u64,
        /// What is in use.
        used: u64,
        /// The budget.
        limit: u64,
        /// Every pin there, with the buffer's name.
        pins: Vec<(String, PinReport)>,
    },
    /// Buffers have moved away, but their old memory is still in use.
    #[error(
        "{bytes} bytes of {placement} were not let go in time by: {}",
        holders.join("; ")
    )]
    NotLetGo {
        /// Where.
        placement: Placement,
        /// What is needed.
        bytes: u64,
        /// Each old backing: the buffer, and who maps it or has not finished with it.
        holders: Vec<String>,
    },
    /// Everything that could move has just come back: moving it would be thrashing.
    #[error("everything in {placement} was used too recently to make room")]
    Busy {
        /// Where.
        placement: Placement,
    },
}

struct Holders<'a>(&'a [(String, PinReport)]);

impl std::fmt::Display for Holders<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no buffer there has another place to go");
        }
        for (index, (buffer, pin)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}'{buffer}' is pinned by {pin}")?;
        }
        Ok(())
    }
}
