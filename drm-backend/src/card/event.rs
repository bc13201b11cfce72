//! Events of a card.

use std::ops::Deref;
use std::time::Duration;

use dmashare::FenceStatus;
use smallvec::SmallVec;

use crate::kms::output::OutputId;

/// Identifier of a commit, unique per card and increasing with each commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitId(u64);

impl CommitId {
    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The identifier as a number.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

/// An event that [`Card::dispatch`](crate::Card::dispatch) reports.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A commit has reached the screen of an output (`DRM_EVENT_FLIP_COMPLETE`), or has switched the
    /// output off.
    Flip {
        /// Output that shows the commit.
        output: OutputId,
        /// Commit that is on the screen.
        commit: CommitId,
        /// Vertical blank counter of the output. It increases by one per refresh, so a larger step
        /// between two flips means missed refreshes.
        sequence: u32,
        /// Time of the vertical blank: `CLOCK_MONOTONIC`, with microsecond resolution.
        time: Duration,
    },
    /// A capture has completed. The target contains the pixels unless the status is an error.
    Written {
        /// Output that was captured.
        output: OutputId,
        /// Commit that requested the capture.
        commit: CommitId,
        /// Status of the capture's fence.
        status: FenceStatus,
    },
    /// A display was connected or disconnected. Call [`Card::outputs`](crate::Card::outputs) again.
    Hotplug {
        /// Connector of the display, if the kernel names it.
        connector: Option<OutputId>,
    },
}

/// The events of one [`Card::dispatch`](crate::Card::dispatch), in order of arrival. Up to eight
/// events need no allocation.
#[derive(Clone, Debug, Default)]
pub struct Events {
    events: SmallVec<[Event; 8]>,
}

impl Events {
    pub(crate) fn push(&mut self, event: Event) {
        self.events.push(event);
    }
}

impl Deref for Events {
    type Target = [Event];

    fn deref(&self) -> &[Event] {
        &self.events
    }
}

impl IntoIterator for Events {
    type Item = Event;
    type IntoIter = smallvec::IntoIter<[Event; 8]>;

    fn into_iter(self) -> Self::IntoIter {
        self.events.into_iter()
    }
}

impl<'a> IntoIterator for &'a Events {
    type Item = &'a Event;
    type IntoIter = std::slice::Iter<'a, Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.events.iter()
    }
}

/// Payload of a `DRM_EVENT_FLIP_COMPLETE` that was read from the device file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlipComplete {
    pub(crate) user_data: u64,
    pub(crate) time: Duration,
    pub(crate) sequence: u32,
    pub(crate) crtc_id: u32,
}

/// Calls `visit` for every flip event in `bytes`. Each event begins with its type and its length in
/// bytes; events of other types are skipped.
pub(crate) fn parse(mut bytes: &[u8], mut visit: impl FnMut(FlipComplete)) {
    while let Some((header, _)) = bytes.split_first_chunk::<8>() {
        let kind = word(header, 0);
        let length = word(header, 4) as usize;
        let Some(event) = bytes.get(..length).filter(|event| event.len() >= 8) else {
            tracing::error!(length, "the kernel sent a malformed event");
            return;
        };
        bytes = &bytes[length..];
        if kind != drm_ffi::DRM_EVENT_FLIP_COMPLETE || event.len() < 32 {
            continue;
        }
        let low = u64::from(word(event, 8));
        let high = u64::from(word(event, 12));
        // The kernel uses native byte order, so only the order of the halves depends on it.
        let user_data = if cfg!(target_endian = "little") {
            high << 32 | low
        } else {
            low << 32 | high
        };
        visit(FlipComplete {
            user_data,
            time: Duration::from_secs(word(event, 16).into())
                + Duration::from_micros(word(event, 20).into()),
            sequence: word(event, 24),
            crtc_id: word(event, 28),
        });
    }
}

/// Reads a native-endian `u32`. The caller has checked the offset.
fn word(bytes: &[u8], offset: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_ne_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flip(user_data: u64, sequence: u32, crtc_id: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(drm_ffi::DRM_EVENT_FLIP_COMPLETE.to_ne_bytes());
        bytes.extend(32_u32.to_ne_bytes());
        bytes.extend(user_data.to_ne_bytes());
        for word in [3, 250_000, sequence, crtc_id] {
            bytes.extend(u32::to_ne_bytes(word));
        }
        bytes
    }

    fn all(bytes: &[u8]) -> Vec<FlipComplete> {
        let mut found = Vec::new();
        parse(bytes, |event| found.push(event));
        found
    }

    #[test]
    fn flips_are_read_and_other_events_passed_over() {
        let mut bytes = flip(u64::MAX - 5, 9, 40);
        let mut vblank = flip(1, 1, 1);
        vblank[0] = 1;
        bytes.extend(vblank);
        bytes.extend(flip(7, 10, 41));
        let found = all(&bytes);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].user_data, u64::MAX - 5);
        assert_eq!(found[0].time, Duration::new(3, 250_000_000));
        assert_eq!((found[0].sequence, found[0].crtc_id), (9, 40));
        assert_eq!((found[1].user_data, found[1].crtc_id), (7, 41));
    }

    #[test]
    fn broken_lengths_end_the_reading() {
        let mut bytes = flip(1, 1, 1);
        bytes[4..8].copy_from_slice(&0_u32.to_ne_bytes());
        assert!(all(&bytes).is_empty());
        bytes[4..8].copy_from_slice(&4096_u32.to_ne_bytes());
        assert!(all(&bytes).is_empty());
        assert!(all(&[1, 2, 3]).is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            parse(&bytes, |_| {});
        }
    }
}
