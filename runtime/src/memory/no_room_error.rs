//! Why a placement has no room.

use crate::memory::pins::PinReport;
use crate::memory::placement::Placement;

/// Why a placement has no room for a buffer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResidencyError {
    /// The buffer is larger than the whole budget.
    #[error("{bytes} bytes are more than the whole budget of {limit} bytes of {placement}")]
    TooLarge {
        /// The placement.
        placement: Placement,
        /// Bytes that the buffer needs.
        bytes: u64,
        /// The budget in bytes.
        limit: u64,
    },
    /// The placement is full, and nothing in it can be moved out.
    #[error(
        "{placement} is full ({used} of {limit} bytes used, {bytes} needed) and nothing in it can move: {}",
        Holders(pins)
    )]
    Full {
        /// The placement.
        placement: Placement,
        /// Bytes that the buffer needs.
        bytes: u64,
        /// Bytes in use.
        used: u64,
        /// The budget in bytes.
        limit: u64,
        /// Every pin in the placement, with the name of its buffer.
        pins: Vec<(String, PinReport)>,
    },
    /// Buffers have moved away, but their old memory is still in use.
    #[error(
        "{bytes} bytes of {placement} were not released in time by: {}",
        holders.join("; ")
    )]
    NotLetGo {
        /// The placement.
        placement: Placement,
        /// Bytes that the buffer needs.
        bytes: u64,
        /// For each old backing, the buffer and who still maps or uses it.
        holders: Vec<String>,
    },
    /// Everything that could be moved out has just come back. Moving it again would thrash.
    #[error("everything in {placement} was used too recently to make room")]
    Busy {
        /// The placement.
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
