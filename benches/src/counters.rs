//! What operations take that can be counted: system calls, Vulkan calls, allocations, copied bytes.
//!
//! Clocks are noisy, these are not. [`fn@measure`] counts from outside, for whoever does the operation: the
//! program `operation` runs under strace, and once more with a Vulkan layer that counts the calls that
//! reach it. [`Table`] is what is expected, in the tree, with what each call of the library beyond its floor
//! buys.

mod calls;
mod measure;
mod program;
mod strace;
mod table;
mod vulkan_layer;

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::Results;

pub use calls::{Calls, Steady, WARM_UP};
pub use measure::measure;
pub use table::Table;

/// The name under which the system calls of waiting for a flip's event are counted. They are no part of
/// a flip: a program waits when it likes.
pub const FLIP_EVENT: &str = "flip_event";

/// What one side of an operation takes in each run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// What is done.
    pub operation: String,
    /// By whom.
    pub by: String,
    /// Its system calls, for ioctl, fcntl and lseek with what they are asked. Those that differ from run
    /// to run as a matter of course are left out: for memory, threads and clocks of the process itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub system_calls: Option<Calls>,
    /// Its Vulkan calls.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vulkan_calls: Option<Calls>,
    /// How often its Rust code allocates, on its own thread.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub allocations: Option<u64>,
    /// Bytes that it copies.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bytes_copied: Option<u64>,
    /// Of what some runs take more than is said above.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub differs: Vec<String>,
    /// What the library does beyond its floor.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub library_only: Vec<LibraryOnly>,
}

/// Something that the library does and its floor does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryOnly {
    /// A system call, a Vulkan call, `allocations` or `bytes_copied`.
    pub call: String,
    /// How often.
    pub times: u64,
    /// What for: a sentence without a full stop, empty if the table in the tree does not know.
    pub buys: String,
}

/// The file of all counters, beside criterion's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountersFile {
    /// By operation and by whom.
    pub counters: Vec<Counters>,
}

impl CountersFile {
    /// What was measured, and what the library's part of it buys.
    pub fn of(mut counters: Vec<Counters>, table: &Table) -> Self {
        let measured = table.measured_anew(&counters);
        for one in &mut counters {
            if one.by == crate::By::Dmashare.to_string() {
                one.library_only = measured.library_only(&one.operation);
            }
        }
        Self { counters }
    }

    /// Writes `dmashare/counters.json` next to criterion's results in `criterion`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_beside(&self, criterion: &Path) -> Result<()> {
        Results::beside(criterion).keep("counters.json", self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_says_what_the_library_s_part_buys() {
        let table = Table::read(
            "[import.buys]\n\
             fstat = \"a check\"",
        );
        let of = |by: &str, times| Counters {
            operation: "import".to_owned(),
            by: by.to_owned(),
            system_calls: Some(Calls::from([("fstat".to_owned(), times)])),
            ..Counters::default()
        };
        let measured = vec![of("dmashare", 3), of("floor", 1), of("gbm", 4)];
        let file = CountersFile::of(measured, &table.unwrap());
        let folder = tempfile::tempdir().unwrap();
        file.keep_beside(folder.path()).unwrap();
        let text = std::fs::read(folder.path().join("dmashare/counters.json")).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(
            read["counters"],
            serde_json::json!([
                {
                    "operation": "import", "by": "dmashare", "system_calls": {"fstat": 3},
                    "library_only": [{"call": "fstat", "times": 2, "buys": "a check"}],
                },
                {"operation": "import", "by": "floor", "system_calls": {"fstat": 1}},
                {"operation": "import", "by": "gbm", "system_calls": {"fstat": 4}},
            ])
        );
    }
}
