//! All that a report is made of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PeerVersion;
use crate::{Absence, MachineFacts};

/// A figure with its 95% interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The median.
    pub value: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

impl Estimate {
    /// With seven digits, which is more than any clock has: data that were written and read again are
    /// the same.
    pub(super) fn rounded(self) -> Self {
        Self {
            value: rounded(self.value),
            low: rounded(self.low),
            high: rounded(self.high),
        }
    }
}

/// A figure with seven digits.
pub(super) fn rounded(number: f64) -> f64 {
    format!("{number:.6e}").parse().unwrap_or(number)
}

/// How long an operation took, by one of those who do it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What was done.
    pub operation: String,
    /// By whom.
    pub by: String,
    /// The size of the image, as `1920x1080`, or a count.
    pub size: String,
    /// Nanoseconds.
    pub time: Estimate,
}

/// How an operation by one compares with the same by another, measured in turns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// What was done.
    pub operation: String,
    /// With whom the library is compared.
    pub beside: String,
    /// The size of the image, or a count.
    pub size: String,
    /// The library's time over the other's: the median of the samples' ratios.
    pub ratio: Estimate,
    /// Nanoseconds that the library took in these samples: their median.
    pub ours: f64,
    /// Nanoseconds that the other took in these samples: their median.
    pub theirs: f64,
    /// How many samples there were.
    pub samples: usize,
}

/// An operation that has no other side, at one number of buffers or threads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// The bench: `contract`, `contract_dmabufs`, `contract_threads`.
    pub bench: String,
    /// What was done.
    pub operation: String,
    /// Buffers, or threads.
    pub count: u64,
    /// Nanoseconds.
    pub time: Estimate,
}

/// A system call that only the library makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryOnly {
    /// The call.
    pub call: String,
    /// How often.
    pub times: i64,
    /// What it is good for.
    pub buys: String,
}

/// What one run of an operation does, counted instead of timed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// What was done.
    pub operation: String,
    /// By whom.
    pub by: String,
    /// System calls by name; ioctls begin with `ioctl `.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_calls: Option<BTreeMap<String, u64>>,
    /// Vulkan calls by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vulkan_calls: Option<BTreeMap<String, u64>>,
    /// Heap allocations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocations: Option<u64>,
    /// Bytes of images that were copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_copied: Option<u64>,
    /// The system calls that only the library makes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub library_only: Vec<LibraryOnly>,
}

/// What a buffer costs that nobody uses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct IdleMemory {
    /// How many buffers there were.
    pub buffers: u64,
    /// Bytes of the process's memory for each.
    pub bytes_per_buffer: f64,
}

/// Where threads were measured that do something at the same time: it need not be where all else was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadsRanOn {
    /// How many processors there were for them.
    pub processors: u64,
}

/// All that a report is made of: the content of `benchmarks.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// Where it was measured.
    #[serde(default)]
    pub machine: Option<MachineFacts>,
    /// The commit of this project.
    #[serde(default)]
    pub commit: Option<String>,
    /// What others were measured, in which version.
    #[serde(default)]
    pub peers: Vec<PeerVersion>,
    /// How long operations took.
    #[serde(default)]
    pub measured: Vec<Measured>,
    /// How they compare.
    #[serde(default)]
    pub ratios: Vec<Ratio>,
    /// Who could not do what, and why.
    #[serde(default)]
    pub absences: Vec<Absence>,
    /// How the contract's cost grows.
    #[serde(default)]
    pub growths: Vec<Growth>,
    /// What was counted.
    #[serde(default)]
    pub counters: Vec<Counted>,
    /// What an idle buffer costs.
    #[serde(default)]
    pub memory: Option<IdleMemory>,
    /// Where several threads were measured.
    #[serde(default)]
    pub threads: Option<ThreadsRanOn>,
}

impl Data {
    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.measured.is_empty() && self.growths.is_empty()
    }

    /// How long an operation took.
    pub fn time(&self, operation: &str, by: &str, size: &str) -> Option<Estimate> {
        let mut of_operation = self.of(operation, by);
        of_operation
            .find(|one| one.size == size)
            .map(|one| one.time)
    }

    /// An operation by one of those who do it, smallest size first.
    pub fn of<'a>(
        &'a self,
        operation: &'a str,
        by: &'a str,
    ) -> impl Iterator<Item = &'a Measured> + 'a {
        let all = self.measured.iter();
        all.filter(move |one| one.operation == operation && one.by == by)
    }

    /// How the library compares with another.
    pub fn ratio(&self, operation: &str, beside: &str, size: &str) -> Option<&Ratio> {
        let mut ratios = self.ratios.iter();
        ratios.find(|one| one.operation == operation && one.beside == beside && one.size == size)
    }

    /// Operations that were measured, in the order of their names.
    pub fn operations(&self) -> Vec<&str> {
        let mut operations: Vec<_> = self.measured.iter().map(|one| &*one.operation).collect();
        operations.sort_unstable();
        operations.dedup();
        operations
    }

    /// Sizes at which an operation was measured, smallest first.
    pub fn sizes(&self, operation: &str) -> Vec<&str> {
        let of_operation = self
            .measured
            .iter()
            .filter(|one| one.operation == operation);
        let mut sizes: Vec<_> = of_operation.map(|one| &*one.size).collect();
        sizes.sort_by_key(|size| (amount(size), *size));
        sizes.dedup();
        sizes
    }

    /// An operation of a bench without sides, smallest count first.
    pub fn growth<'a>(
        &'a self,
        bench: &'a str,
        operation: &'a str,
    ) -> impl Iterator<Item = &'a Growth> + 'a {
        let all = self.growths.iter();
        all.filter(move |one| one.bench == bench && one.operation == operation)
    }
}

/// The pixels of a size, or the count itself: by this, sizes are sorted.
pub(super) fn amount(size: &str) -> u64 {
    match size.parse::<crate::Size>() {
        Ok(size) => size.bytes() / 4,
        Err(_) => size.parse().unwrap_or(0),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    impl Estimate {
        /// A figure within a tenth.
        pub(in super::super) fn about(value: f64) -> Self {
            Self {
                value,
                low: value * 0.9,
                high: value * 1.1,
            }
            .rounded()
        }
    }

    /// Data in which this was measured: operation, side, size, nanoseconds.
    pub(in super::super) fn data_of(measured: &[(&str, &str, &str, f64)]) -> Data {
        let measured = measured
            .iter()
            .map(|&(operation, by, size, time)| Measured {
                operation: operation.to_owned(),
                by: by.to_owned(),
                size: size.to_owned(),
                time: Estimate::about(time),
            });
        Data {
            measured: measured.collect(),
            ..Data::default()
        }
    }

    /// A ratio with an interval.
    pub(in super::super) fn ratio_of(
        operation: &str,
        beside: &str,
        size: &str,
        [low, value, high]: [f64; 3],
    ) -> Ratio {
        Ratio {
            operation: operation.to_owned(),
            beside: beside.to_owned(),
            size: size.to_owned(),
            ratio: Estimate { value, low, high },
            ours: 100.0 * value,
            theirs: 100.0,
            samples: 40,
        }
    }

    #[test]
    fn sizes_are_in_the_order_of_their_pixels() {
        let data = data_of(&[
            ("import", "floor", "1920x1080", 1.0),
            ("import", "dmashare", "1920x1080", 1.0),
            ("import", "dmashare", "256x256", 1.0),
            ("fence_merge", "dmashare", "64", 1.0),
            ("fence_merge", "dmashare", "8", 1.0),
        ]);
        assert_eq!(data.sizes("import"), ["256x256", "1920x1080"]);
        assert_eq!(data.sizes("fence_merge"), ["8", "64"]);
        assert_eq!(data.operations(), ["fence_merge", "import"]);
    }

    #[test]
    fn figures_have_seven_digits() {
        let estimate = Estimate {
            value: 151_234.567_89,
            low: 1.0 / 3.0,
            high: 2e15 / 3.0,
        };
        let text = serde_json::to_string(&estimate.rounded()).unwrap();
        assert_eq!(
            text,
            r#"{"value":151234.6,"low":0.3333333,"high":666666700000000.0}"#
        );
    }

    #[test]
    fn counters_may_lack_everything_but_their_name() {
        let text = r#"{"operation":"import","by":"floor"}"#;
        let counted: Counted = serde_json::from_str(text).unwrap();
        assert_eq!(counted.system_calls, None);
        assert_eq!(serde_json::to_string(&counted).unwrap(), text);
    }
}
