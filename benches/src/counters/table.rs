//! The table in the tree: what the library and its floor take for each operation, exactly.

mod differences;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::calls::Calls;
use super::{Counters, LibraryOnly};
use crate::{By, OperationKind};

/// The table that is in the tree.
const IN_TREE: &str = include_str!("../../counters.toml");

/// What stands before the table in its file.
const HEADING: &str = "\
# What dmashare and its floor take for each operation, exactly, in the lab: system calls, Vulkan calls,
# allocations and copied bytes of a steady run at the smallest size. `buys` says what is bought by what
# the library does beyond its floor; `varies` says why something is as often as it happens to be, and is
# not counted. Handoffs and fences of work in flight are not here: what they take depends on whether the
# work is over when somebody asks. tests/counters.rs holds all of it. To write it anew, with the texts that are here:
#
#     cargo lab run -- counters --table benches/counters.toml
#
# and then fill in the texts that are empty.

";

/// What these take depends on whether work is over by the time when somebody asks, which drivers and
/// schedulers decide. They are counted, and not in the table.
const DECIDED_BY_CHANCE: [OperationKind; 6] = [
    OperationKind::Handoff,
    OperationKind::HandoffProcesses,
    OperationKind::HandoffDisplay,
    OperationKind::FenceCreate,
    OperationKind::FenceWaitPending,
    OperationKind::FenceConvert,
];

/// The name in `buys` of everything that has no line of its own: for operations whose floor is of
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
    /// Why something differs from run to run. It is not in the numbers above.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    varies: Texts,
}

impl Side {
    /// What was measured, without what varies by itself or by what is known.
    fn of(counters: &Counters, known: Option<&Self>) -> Self {
        let mut varies = known.map(|side| side.varies.clone()).unwrap_or_default();
        for name in &counters.differs {
            varies.entry(name.clone()).or_default();
        }
        let counted = |calls: &Option<Calls>| {
            let mut calls = calls.clone().unwrap_or_default();
            calls.retain(|name, _| !varies.contains_key(name));
            calls
        };
        Self {
            allocations: counters
                .allocations
                .filter(|_| !varies.contains_key("allocations")),
            bytes_copied: counters.bytes_copied,
            system_calls: counted(&counters.system_calls),
            vulkan_calls: counted(&counters.vulkan_calls),
            varies,
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
        let nothing = Side::default();
        let floor = self.floor.as_ref().unwrap_or(&nothing);
        let library = self.dmashare.as_ref().unwrap_or(&nothing).all();
        let varies = &floor.varies;
        let floor = floor.all();
        let library = library
            .into_iter()
            .filter(|(name, _)| !varies.contains_key(name));
        let extras = library.filter_map(|(name, times)| {
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
        let nothing = Row::default();
        let mut rows = BTreeMap::<String, Row>::new();
        for counters in measured {
            let of = |by: By| counters.by == by.to_string();
            let is_decided_by_chance = DECIDED_BY_CHANCE
                .iter()
                .any(|kind| counters.operation == kind.to_string());
            if is_decided_by_chance || !of(By::Floor) && !of(By::Dmashare) {
                continue;
            }
            let known = self.0.get(&counters.operation).unwrap_or(&nothing);
            let row = rows.entry(counters.operation.clone()).or_default();
            if of(By::Floor) {
                row.floor = Some(Side::of(counters, known.floor.as_ref()));
            } else {
                row.dmashare = Some(Side::of(counters, known.dmashare.as_ref()));
            }
        }
        for (operation, row) in &mut rows {
            let known = self.0.get(operation).unwrap_or(&nothing);
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
