//! How often something is called, and whether that is the same in every run.

use std::collections::{BTreeMap, BTreeSet};

/// How often each call is made, by name.
pub type Calls = BTreeMap<String, u64>;

/// How many runs are not counted: what they load and set up is there for later ones, for each of the
/// buffers that take turns.
pub const WARM_UP: usize = 10;

/// What every run of several does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steady {
    /// The calls that every run makes, each as often as the run that makes fewest.
    pub calls: Calls,
    /// The calls that some runs make more often, by name.
    pub differs: Vec<String>,
}

impl Steady {
    /// What `runs` have in common.
    pub fn of(runs: &[Calls]) -> Self {
        let names: BTreeSet<&String> = runs.iter().flat_map(Calls::keys).collect();
        let mut steady = Self::default();
        for name in names {
            let times = || runs.iter().map(|run| run.get(name).copied().unwrap_or(0));
            let (least, most) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
            if runs.iter().all(|run| run.contains_key(name)) {
                steady.calls.insert(name.clone(), least);
            }
            if least != most {
                steady.differs.push(name.clone());
            }
        }
        steady
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(calls: &[(&str, u64)]) -> Calls {
        let owned = calls
            .iter()
            .map(|(name, times)| ((*name).to_owned(), *times));
        owned.collect()
    }

    #[test]
    fn what_differs_counts_as_often_as_in_every_run() {
        let runs = vec![
            calls(&[("close", 1), ("read", 3)]),
            calls(&[("close", 1), ("read", 2), ("poll", 1)]),
        ];
        let steady = Steady::of(&runs);
        assert_eq!(steady.calls, calls(&[("close", 1), ("read", 2)]));
        assert_eq!(steady.differs, ["poll", "read"]);
    }

    #[test]
    fn a_count_of_zero_in_every_run_is_kept() {
        let runs = vec![calls(&[("allocations", 0)]); 2];
        let steady = Steady::of(&runs);
        assert_eq!(steady.calls, calls(&[("allocations", 0)]));
        assert!(steady.differs.is_empty());
    }
}
