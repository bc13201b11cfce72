//! The table in the tree: what the library and its floor take for each operation, exactly.

mod differences;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::calls::Calls;
use super::{Counters, LibraryOnly};
use crate::By;

/// The table that is in the tree.
const IN_TREE: &str = include_str!("../../counters.toml");

/// What stands before the table in its file.
const HEADING: &str = "\
# What dmashare and its floor take for each operation, exactly, in the lab: system calls, Vulkan calls,
# allocations and copied bytes of a steady run at the smallest size. `buys` says what is bought by what
# the library does beyond its floor; `varies` says why something is as often as it happens to be, and is
# not counted. tests/counters.rs holds all of it. To write it anew, with the texts that are here:
#
#     cargo lab run -- counters --table benches/counters.toml
#
# and then fill in the texts that are empty.

";

/// The name in `buys` for everything that has no line of its own: for operations whose floor is of
/// another kind.
const ALL_OTHERS: &str = "all others";

/// Texts, by what they are about: a system call, a Vulkan call, `allocations` or `bytes_copied`.
type Texts = BTreeMap<String, String>;

/// What the library and its floor take, by operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Table(BTreeMap<String, Row>);

/// What an operation takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    floor: Option<Side>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    dmashare: Option<Side>,
    /// What the library gets for what it does and the floor does not.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    buys: Texts,
    /// Why something differs from run to run.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    varies: Texts,
}

/// What one side takes. Numbers that nobody counted are not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Side {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    allocations: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    bytes_copied: Option<u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    system_calls: Calls,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    vulkan_calls: Calls,
}

impl Side {
    fn of(counters: &Counters) -> Self {
        Self {
            allocations: counters.allocations,
            bytes_copied: counters.bytes_copied,
            system_calls: counters.system_calls.clone().unwrap_or_default(),
            vulkan_calls: counters.vulkan_calls.clone().unwrap_or_default(),
        }
    }

    fn forget(&mut self, varies: &Texts) {
        for calls in [&mut self.system_calls, &mut self.vulkan_calls] {
            calls.retain(|name, _| !varies.contains_key(name));
        }
        if varies.contains_key("allocations") {
            self.allocations = None;
        }
    }

    /// All that is counted, by name.
    fn all(&self) -> Calls {
        let numbers = [
            ("allocations", self.allocations),
            ("bytes_copied", self.bytes_copied),
        ];
        let numbers = numbers
            .into_iter()
            .filter_map(|(name, number)| Some((name.to_owned(), number?)));
        let calls = self.system_calls.iter().chain(&self.vulkan_calls);
        numbers
            .chain(calls.map(|(name, times)| (name.clone(), *times)))
            .collect()
    }
}

impl Row {
    /// What the library does more often than the floor, and how much more often.
    fn extras(&self) -> Calls {
        let all = |side: &Option<Side>| side.as_ref().map(Side::all).unwrap_or_default();
        let floor = all(&self.floor);
        let extras = all(&self.dmashare).into_iter().filter_map(|(name, times)| {
            let more = times.saturating_sub(floor.get(&name).copied().unwrap_or(0));
            (more > 0).then_some((name, more))
        });
        extras.collect()
    }

    /// What is said about an extra.
    fn what_it_buys(&self, name: &str) -> Option<&str> {
        let text = self.buys.get(name).or_else(|| self.buys.get(ALL_OTHERS))?;
        Some(text.trim()).filter(|text| !text.is_empty())
    }
}

impl Table {
    /// The table that is in the tree.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn in_tree() -> Result<Self> {
        Self::read(IN_TREE)
    }

    /// Reads a table.
    ///
    /// # Errors
    /// `text` is no table.
    pub fn read(text: &str) -> Result<Self> {
        toml::from_str(text).context("cannot read the table of counters")
    }

    /// The text of the table's file.
    ///
    /// # Errors
    /// It cannot be written as TOML.
    pub fn text(&self) -> Result<String> {
        Ok(format!("{HEADING}{}", toml::to_string_pretty(self)?))
    }

    /// The table of what was measured, with this table's texts, empty where there is none. What varies by
    /// this table or in what was measured is not in its counts.
    #[must_use]
    pub fn measured_anew(&self, measured: &[Counters]) -> Self {
        let mut rows = BTreeMap::<String, Row>::new();
        for counters in measured {
            let of = |by: By| counters.by == by.to_string();
            if !of(By::Floor) && !of(By::Dmashare) {
                continue;
            }
            let row = rows.entry(counters.operation.clone()).or_default();
            let side = Some(Side::of(counters));
            if of(By::Floor) {
                row.floor = side;
            } else {
                row.dmashare = side;
            }
            for name in &counters.differs {
                row.varies.entry(name.clone()).or_default();
            }
        }
        let nothing = Row::default();
        for (operation, row) in &mut rows {
            let known = self.0.get(operation).unwrap_or(&nothing);
            row.varies.extend(known.varies.clone());
            for side in [&mut row.floor, &mut row.dmashare].into_iter().flatten() {
                side.forget(&row.varies);
            }
            for name in row.extras().into_keys() {
                if let Some(text) = known.buys.get(&name) {
                    row.buys.insert(name, text.clone());
                } else if let Some(text) = known.buys.get(ALL_OTHERS) {
                    row.buys.insert(ALL_OTHERS.to_owned(), text.clone());
                } else {
                    row.buys.insert(name, String::new());
                }
            }
        }
        Self(rows)
    }

    /// What the library does for an operation and the floor does not.
    pub fn library_only(&self, operation: &str) -> Vec<LibraryOnly> {
        let Some(row) = self.0.get(operation) else {
            return Vec::new();
        };
        let extras = row.extras().into_iter().map(|(call, times)| LibraryOnly {
            buys: row.what_it_buys(&call).unwrap_or_default().to_owned(),
            call,
            times,
        });
        extras.collect()
    }
}
