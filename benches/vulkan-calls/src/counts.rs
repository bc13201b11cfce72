//! The file in which the layer counts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// The environment variable with the path of the file that the layer counts in. The file must exist; an
/// empty one is enough.
pub const COUNTS_VARIABLE: &str = "DMASHARE_VULKAN_CALLS";

/// How many functions can be counted. The loader asks for each that it knows, about a thousand.
pub(crate) const SLOTS: usize = 4096;
/// Bytes of a slot: its count, then its name, filled up with zeros.
pub(crate) const SLOT: usize = 128;
/// Bytes before the first slot: two numbers, see [`USED`] and [`REFUSED`].
pub(crate) const HEADER: usize = 128;
/// Bytes of the file.
pub(crate) const LENGTH: usize = HEADER + SLOTS * SLOT;
/// Bytes of a number: 64 bits, in the machine's order.
pub(crate) const NUMBER: usize = size_of::<u64>();
/// Where the number of used slots is. A slot is used when its name is complete.
pub(crate) const USED: usize = 0;
/// Where the number of functions is for which there was no slot.
pub(crate) const REFUSED: usize = NUMBER;
/// The longest name that fits into a slot.
pub(crate) const LONGEST_NAME: usize = SLOT - NUMBER;

/// Where the slot of this number begins.
pub(crate) const fn slot(index: usize) -> usize {
    HEADER + index * SLOT
}

/// How often each Vulkan function was called, by name, since the file was made. Functions that were
/// never called are not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<String, u64>);

impl Counts {
    /// Reads the layer's file. Calls that other threads make meanwhile may be missing.
    ///
    /// # Errors
    /// The file cannot be read, no layer has written to it, or there were too many functions for it.
    pub fn read(path: &Path) -> io::Result<Self> {
        Self::of(&fs::read(path)?)
    }

    fn of(bytes: &[u8]) -> io::Result<Self> {
        let number = |at: usize| -> Option<u64> {
            let number = bytes.get(at..at + NUMBER)?;
            Some(u64::from_ne_bytes(number.try_into().ok()?))
        };
        let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
        let incomplete = || wrong("the layer that counts Vulkan calls was not loaded");
        let used = number(USED).ok_or_else(incomplete)?;
        if number(REFUSED) != Some(0) {
            return Err(wrong("there are more Vulkan functions than can be counted"));
        }
        let mut counts = BTreeMap::new();
        for index in 0..usize::try_from(used).map_err(io::Error::other)? {
            let count = number(slot(index)).ok_or_else(incomplete)?;
            let name = bytes.get(slot(index) + NUMBER..slot(index + 1));
            let name = name.ok_or_else(incomplete)?;
            let end = name.iter().position(|&byte| byte == 0);
            let name = String::from_utf8_lossy(&name[..end.unwrap_or(name.len())]);
            if count > 0 {
                // A function has a slot for each driver and layer that it leads to.
                *counts.entry(name.into_owned()).or_insert(0) += count;
            }
        }
        Ok(Self(counts))
    }

    /// The calls since `earlier` was read.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let calls = self.0.iter().filter_map(|(name, count)| {
            let more = count - earlier.0.get(name).copied().unwrap_or(0).min(*count);
            (more > 0).then(|| (name.clone(), more))
        });
        Self(calls.collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_layer_has_no_counts() {
        assert!(Counts::of(&[]).is_err());
    }

    #[test]
    fn what_did_not_fit_is_an_error() {
        let mut bytes = vec![0; LENGTH];
        assert_eq!(Counts::of(&bytes).unwrap(), Counts::default());
        bytes[REFUSED] = 1;
        assert!(Counts::of(&bytes).is_err());
    }

    #[test]
    fn only_what_was_called_since_is_left() {
        let counts = |calls: &[(&str, u64)]| {
            Counts(
                calls
                    .iter()
                    .map(|(name, n)| ((*name).to_owned(), *n))
                    .collect(),
            )
        };
        let later = counts(&[("a", 3), ("b", 2), ("c", 1)]);
        let earlier = counts(&[("a", 1), ("b", 2)]);
        assert_eq!(later.since(&earlier), counts(&[("a", 2), ("c", 1)]));
    }
}
