//! The table in the tree: what the library and its floor take for each operation, exactly.

use std::collections::{BTreeMap, BTreeSet};

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
# allocations and copied bytes of a steady run at the smallest size. `buys` says what each call is for
# that the library makes and the floor does not. tests/counters.rs holds this. To write it anew, with
# the texts that are here:
#
#     cargo lab run -- counters --table benches/counters.toml
#
# and then fill in the texts that are empty.

";

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
    /// What the library gets for what it does and the floor does not, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    buys: BTreeMap<String, String>,
}

/// What one side takes. What nobody counted is not there; what is counted and never done is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Side {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    allocations: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    bytes_copied: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    system_calls: Option<Calls>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    vulkan_calls: Option<Calls>,
}

impl Side {
    fn of(counters: &Counters) -> Self {
        Self {
            allocations: counters.allocations,
            bytes_copied: counters.bytes_copied,
            system_calls: counters.system_calls.clone(),
            vulkan_calls: counters.vulkan_calls.clone(),
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
        let calls = [&self.system_calls, &self.vulkan_calls].into_iter().flatten().flatten();
        numbers
            .chain(calls.map(|(name, times)| (name.clone(), *times)))
            .collect()
    }
}

impl Row {
    /// What the library does more often than the floor, and how much more often.
    fn extras(&self) -> BTreeMap<String, u64> {
        let floor = self.floor.as_ref().map(Side::all).unwrap_or_default();
        let library = self.dmashare.as_ref().map(Side::all).unwrap_or_default();
        let extras = library.into_iter().filter_map(|(name, times)| {
            let more = times.saturating_sub(floor.get(&name).copied().unwrap_or(0));
            (more > 0).then_some((name, more))
        });
        extras.collect()
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

    /// The table of what was measured. What it buys is what this table says, empty where it says nothing.
    #[must_use]
    pub fn measured_anew(&self, measured: &[Counters]) -> Self {
        let mut rows = BTreeMap::<String, Row>::new();
        for counters in measured {
            let row = |rows: &mut BTreeMap<String, Row>, side: fn(&mut Row) -> &mut Option<Side>| {
                let row = rows.entry(counters.operation.clone()).or_default();
                *side(row) = Some(Side::of(counters));
            };
            if counters.by == By::Floor.to_string() {
                row(&mut rows, |row| &mut row.floor);
            } else if counters.by == By::Dmashare.to_string() {
                row(&mut rows, |row| &mut row.dmashare);
            }
        }
        for (operation, row) in &mut rows {
            let texts = self.0.get(operation).map(|row| &row.buys);
            let text = |name: &String| texts.and_then(|texts| texts.get(name)).cloned();
            let extras = row.extras().into_keys();
            row.buys = extras
                .map(|name| (name.clone(), text(&name).unwrap_or_default()))
                .collect();
        }
        Self(rows)
    }

    /// What the library does for an operation and the floor does not.
    pub fn library_only(&self, operation: &str) -> Vec<LibraryOnly> {
        let Some(row) = self.0.get(operation) else {
            return Vec::new();
        };
        let extras = row.extras().into_iter().map(|(call, times)| LibraryOnly {
            buys: row.buys.get(&call).cloned().unwrap_or_default(),
            call,
            times,
        });
        extras.collect()
    }

    /// Where the table is not what was measured, and where it does not say what a call buys, each as a
    /// line of text: none if all is well.
    pub fn differences(&self, measured: &[Counters]) -> Vec<String> {
        let mut lines = Vec::new();
        let is = self.measured_anew(measured);
        let operations: BTreeSet<_> = self.0.keys().chain(is.0.keys()).collect();
        let nothing = Row::default();
        for operation in operations {
            let should = self.0.get(operation).unwrap_or(&nothing);
            let is = is.0.get(operation).unwrap_or(&nothing);
            let sides = [
                (By::Floor, &is.floor, &should.floor),
                (By::Dmashare, &is.dmashare, &should.dmashare),
            ];
            for (by, is, should) in sides {
                let counts = |side: &Option<Side>| side.as_ref().map(Side::all).unwrap_or_default();
                let (is, should) = (counts(is), counts(should));
                let names: BTreeSet<_> = is.keys().chain(should.keys()).collect();
                for name in names {
                    let (is, should) = (is.get(name), should.get(name));
                    if is != should {
                        let number = |count: Option<&u64>| {
                            count.map_or_else(|| "nothing".to_owned(), u64::to_string)
                        };
                        lines.push(format!(
                            "{operation} by {by}: {name}: {}; the table says {}",
                            number(is),
                            number(should)
                        ));
                    }
                }
            }
            let extras = is.extras();
            for name in extras.keys() {
                if should.buys.get(name).is_none_or(|text| text.trim().is_empty()) {
                    lines.push(format!("{operation}: {name}: what does it buy?"));
                }
            }
            for name in should.buys.keys().filter(|name| !extras.contains_key(*name)) {
                lines.push(format!(
                    "{operation}: {name}: buys something, but is no more than the floor's"
                ));
            }
        }
        let library_and_floor = [By::Dmashare.to_string(), By::Floor.to_string()];
        for counters in measured {
            if !counters.differs.is_empty() && library_and_floor.contains(&counters.by) {
                lines.push(format!(
                    "{} by {}: differs from run to run: {}",
                    counters.operation,
                    counters.by,
                    counters.differs.join(", ")
                ));
            }
        }
        lines
    }
}
