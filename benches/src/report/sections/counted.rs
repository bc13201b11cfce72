//! What is counted instead of timed.

use std::collections::BTreeMap;

use super::super::markdown::{NOTHING, Table};
use super::super::{Counted, Data, Report, names, quantities};

/// The counters, and what the library's extra calls are good for.
pub(in super::super) fn counted(data: &Data, report: &mut Report) {
    if data.counters.is_empty() {
        return;
    }
    let mut counters: Vec<&Counted> = data.counters.iter().collect();
    counters.sort_by_key(|one| (names::position(&one.operation), one.operation.clone()));
    report.section("What is counted");
    report
        .paragraph("Clocks are noisy, counts are not. This is what one run of an operation does.");
    report.table(&table(&counters));
    let bought = bought(&counters);
    if !bought.is_empty() {
        report.paragraph("Calls that only the library makes, and what they buy:");
        report.list(&bought);
    }
}

fn table(counters: &[&Counted]) -> Table {
    let heads = [
        "operation",
        "by",
        "system calls",
        "of these, ioctls",
        "Vulkan calls",
        "allocations",
        "bytes copied",
    ];
    let mut table = Table::new(2, heads);
    let mut last = "";
    for one in counters {
        let is_first = last != one.operation;
        last = &one.operation;
        let number =
            |number: Option<u64>| number.map_or_else(|| NOTHING.to_owned(), quantities::count);
        let calls = one.system_calls.as_ref();
        table.push([
            names::first(is_first, last),
            names::side(&one.by).to_owned(),
            number(calls.map(sum)),
            number(calls.map(ioctls)),
            number(one.vulkan_calls.as_ref().map(sum)),
            number(one.allocations),
            number(one.bytes_copied),
        ]);
    }
    table
}

fn sum(calls: &BTreeMap<String, u64>) -> u64 {
    calls.values().sum()
}

fn ioctls(calls: &BTreeMap<String, u64>) -> u64 {
    let ioctls = calls.iter().filter(|(name, _)| name.starts_with("ioctl "));
    ioctls.map(|(_, count)| count).sum()
}

/// One line for each thing that is bought, with all calls that buy it.
fn bought(counters: &[&Counted]) -> Vec<String> {
    let mut lines = Vec::new();
    for one in counters {
        let mut bought: Vec<(&str, Vec<String>)> = Vec::new();
        for extra in &one.library_only {
            let call = match extra.times {
                1 => format!("`{}`", extra.call),
                times => format!("`{}` {times} times", extra.call),
            };
            match bought.iter_mut().find(|(buys, _)| *buys == extra.buys) {
                Some((_, calls)) => calls.push(call),
                None => bought.push((&extra.buys, vec![call])),
            }
        }
        let operation = names::operation(&one.operation);
        lines.extend(
            bought
                .iter()
                .map(|(buys, calls)| format!("{operation}, {}: {buys}.", calls.join(", "))),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_added_up_and_what_they_buy_is_told() {
        let text = r#"[
            {"operation":"import","by":"dmashare","system_calls":{"ioctl A":2,"ioctl B":1,"fstat":1},
             "vulkan_calls":{"vkCreateImage":1},"allocations":1200,"bytes_copied":0,
             "library_only":[{"call":"fstat","times":1,"buys":"whether it is a dma-buf"},
                             {"call":"fcntl","times":1,"buys":"one for the next device"},
                             {"call":"close","times":2,"buys":"one for the next device"}]},
            {"operation":"import","by":"floor"},
            {"operation":"export","by":"floor","allocations":0}]"#;
        let data = Data {
            counters: serde_json::from_str(text).unwrap(),
            ..Data::default()
        };
        let mut report = Report::default();
        counted(&Data::default(), &mut report);
        assert_eq!(report.text, "");
        counted(&data, &mut report);
        let counters: Vec<_> = data.counters.iter().collect();
        let table = table(&counters);
        let rows = table.rows();
        assert_eq!(
            rows[0],
            ["first import", "dmashare", "4", "3", "1", "1,200", "0"]
        );
        assert_eq!(rows[1][0], "");
        assert_eq!(rows[2], ["export", "floor", "–", "–", "–", "0", "–"]);
        let bought = "\n- first import, `fstat`: whether it is a dma-buf.\n\
                      - first import, `fcntl`, `close` 2 times: one for the next device.\n";
        assert!(report.text.ends_with(bought), "{}", report.text);
    }
}
