//! Where the table is not what was measured.

use std::collections::BTreeSet;

use super::{ALL_OTHERS, Row, Side, Table};
use crate::By;
use crate::counters::Counters;

impl Table {
    /// Where the table is not what was measured, and where it does not say what something buys or why it
    /// varies, each as a line of text: none if all is well.
    pub fn differences(&self, measured: &[Counters]) -> Vec<String> {
        let is = self.measured_anew(measured);
        let operations: BTreeSet<_> = self.0.keys().chain(is.0.keys()).collect();
        let nothing = Row::default();
        let mut lines = Vec::new();
        for operation in operations {
            let should = self.0.get(operation).unwrap_or(&nothing);
            let is = is.0.get(operation).unwrap_or(&nothing);
            let found = numbers(By::Floor, &is.floor, &should.floor)
                .chain(numbers(By::Dmashare, &is.dmashare, &should.dmashare))
                .chain(texts(is, should));
            lines.extend(found.map(|line| format!("{operation}: {line}")));
        }
        lines
    }
}

/// What is done another number of times.
fn numbers(by: By, is: &Option<Side>, should: &Option<Side>) -> impl Iterator<Item = String> {
    let all = |side: &Option<Side>| side.as_ref().map(Side::all).unwrap_or_default();
    let (is, should) = (all(is), all(should));
    let names: BTreeSet<_> = is.keys().chain(should.keys()).cloned().collect();
    names.into_iter().filter_map(move |name| {
        let (is, should) = (is.get(&name), should.get(&name));
        let number =
            |count: Option<&u64>| count.map_or_else(|| "nothing".to_owned(), u64::to_string);
        (is != should).then(|| {
            format!(
                "{name} by {by}: {}; the table says {}",
                number(is),
                number(should)
            )
        })
    })
}

/// What nothing is said about, and what is said about nothing.
fn texts(is: &Row, should: &Row) -> impl Iterator<Item = String> {
    let extras = is.extras();
    let unexplained = extras
        .iter()
        .filter(|(name, _)| should.what_it_buys(name).is_none())
        .map(|(name, times)| {
            format!("{name}: {times} beyond the floor, and nothing says what for")
        });
    let stale = should
        .buys
        .keys()
        .filter(|name| !extras.contains_key(*name) && *name != ALL_OTHERS)
        .map(|name| format!("{name}: not beyond the floor, and something says what for"));
    let sides = [&is.floor, &is.dmashare].into_iter().flatten();
    let varies = sides
        .flat_map(|side| &side.varies)
        .filter(|(_, why)| why.trim().is_empty())
        .map(|(name, _)| format!("{name}: differs from run to run, and nothing says why"));
    let lines: Vec<_> = unexplained.chain(stale).chain(varies).collect();
    lines.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"
        [import.floor]
        allocations = 0
        [import.floor.system_calls]
        close = 2
        [import.dmashare]
        allocations = 3
        [import.dmashare.system_calls]
        close = 2
        fstat = 1
        [import.dmashare.vulkan_calls]
        vkCreateImage = 1
        [import.buys]
        allocations = "a buffer"
        fstat = "a check"
        vkCreateImage = "an image"
        [import.dmashare.varies]
        poll = "the driver takes as long as it takes"
    "#;

    fn counters(
        by: By,
        allocations: u64,
        system: &[(&str, u64)],
        vulkan: &[(&str, u64)],
    ) -> Counters {
        let calls = |calls: &[(&str, u64)]| {
            let owned = calls
                .iter()
                .map(|(name, times)| ((*name).to_owned(), *times));
            Some(owned.collect())
        };
        Counters {
            operation: "import".to_owned(),
            by: by.to_string(),
            system_calls: calls(system),
            vulkan_calls: calls(vulkan),
            allocations: Some(allocations),
            ..Counters::default()
        }
    }

    /// What the table says.
    fn as_expected() -> [Counters; 2] {
        let library = [("close", 2), ("fstat", 1), ("poll", 5)];
        [
            counters(By::Dmashare, 3, &library, &[("vkCreateImage", 1)]),
            counters(By::Floor, 0, &[("close", 2)], &[]),
        ]
    }

    fn differences(change: impl FnOnce(&mut Counters)) -> Vec<String> {
        let mut measured = as_expected();
        change(&mut measured[0]);
        Table::read(TABLE).unwrap().differences(&measured)
    }

    fn system_call(counters: &mut Counters, name: &str, times: u64) {
        let calls = counters.system_calls.as_mut().unwrap();
        calls.insert(name.to_owned(), times);
    }

    #[test]
    fn what_is_as_the_table_says_is_no_difference() {
        assert_eq!(differences(|_| ()), [""; 0]);
    }

    #[test]
    fn one_more_of_a_known_call_is_a_difference() {
        assert_eq!(
            differences(|library| system_call(library, "fstat", 2)),
            ["import: fstat by dmashare: 2; the table says 1"]
        );
    }

    #[test]
    fn a_new_call_is_a_difference_and_needs_a_reason() {
        assert_eq!(
            differences(|library| system_call(library, "lseek SEEK_END", 1)),
            [
                "import: lseek SEEK_END by dmashare: 1; the table says nothing",
                "import: lseek SEEK_END: 1 beyond the floor, and nothing says what for",
            ]
        );
    }

    #[test]
    fn a_call_that_was_saved_is_a_difference_and_loses_its_reason() {
        let saved = differences(|library| {
            library.vulkan_calls = Some(Default::default());
        });
        assert_eq!(
            saved,
            [
                "import: vkCreateImage by dmashare: nothing; the table says 1",
                "import: vkCreateImage: not beyond the floor, and something says what for",
            ]
        );
    }

    #[test]
    fn an_allocation_more_is_a_difference() {
        assert_eq!(
            differences(|library| library.allocations = Some(4)),
            ["import: allocations by dmashare: 4; the table says 3"]
        );
    }

    #[test]
    fn what_varies_needs_a_reason() {
        let unsteady = differences(|library| library.differs = vec!["poll".to_owned()]);
        assert_eq!(unsteady, [""; 0]);
        assert_eq!(
            differences(|library| library.differs = vec!["ppoll".to_owned()]),
            ["import: ppoll: differs from run to run, and nothing says why"]
        );
    }

    #[test]
    fn a_side_that_was_not_measured_is_a_difference() {
        let measured = &as_expected()[..1];
        let lines = Table::read(TABLE).unwrap().differences(measured);
        assert!(
            lines.contains(&"import: close by floor: nothing; the table says 2".to_owned()),
            "{lines:#?}"
        );
    }

    #[test]
    fn the_table_that_is_written_anew_has_no_differences_but_missing_texts() {
        let measured = as_expected();
        let table = Table::default().measured_anew(&measured);
        let table = Table::read(&table.text().unwrap()).unwrap();
        assert_eq!(
            table.differences(&measured).len(),
            // Of allocations, fstat, poll and vkCreateImage nothing says what they buy.
            4
        );
        let table = Table::read(TABLE).unwrap().measured_anew(&measured);
        assert_eq!(table, Table::read(TABLE).unwrap());
    }

    #[test]
    fn one_text_may_be_about_all_others() {
        let table = TABLE.replace("fstat = \"a check\"", "\"all others\" = \"another kind\"");
        let table = Table::read(&table).unwrap();
        let measured = as_expected();
        assert_eq!(table.differences(&measured), [""; 0]);
        let only = table.library_only("import");
        let fstat = only.iter().find(|only| only.call == "fstat").unwrap();
        assert_eq!(fstat.buys, "another kind");
    }
}
