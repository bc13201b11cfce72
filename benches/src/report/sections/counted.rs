//! What is counted instead of timed.

use std::collections::BTreeMap;

use super::super::{Block, Cell, Counted, Data, Section, Table, names, quantities};

/// The counters, and what the library's extra calls are good for.
pub(in super::super) fn counted(data: &Data) -> Option<Section> {
    if data.counters.is_empty() {
        return None;
    }
    let mut counters: Vec<&Counted> = data.counters.iter().collect();
    counters.sort_by_key(|one| (names::position(&one.operation), one.operation.clone()));
    let mut blocks = vec![
        Block::Paragraph(
            "Clocks are noisy, counts are not. This is what one run of an operation does."
                .to_owned(),
        ),
        Block::Table(table(&counters)),
    ];
    let bought = bought(&counters);
    if !bought.is_empty() {
        let text = "Calls that only the library makes, and what they buy:";
        blocks.push(Block::Paragraph(text.to_owned()));
        blocks.push(Block::List(bought));
    }
    Some(Section::new("What is counted", blocks))
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
        let name = if is_first {
            names::operation(last)
        } else {
            String::new()
        };
        let number = |number: Option<u64>| {
            number.map_or_else(Cell::empty, |number| Cell::from(quantities::count(number)))
        };
        let calls = one.system_calls.as_ref();
        table.rows.push(vec![
            Cell::from(name),
            Cell::from(names::side(&one.by)),
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
        let section = counted(&data).unwrap();
        let [_, Block::Table(table), _, Block::List(bought)] = &section.blocks[..] else {
            panic!("{section:?}");
        };
        let row = |index: usize| -> Vec<&str> {
            table.rows[index].iter().map(|cell| &*cell.text).collect()
        };
        assert_eq!(row(0), ["export", "floor", "–", "–", "–", "0", "–"]);
        assert_eq!(
            row(1),
            ["first import", "dmashare", "4", "3", "1", "1,200", "0"]
        );
        assert_eq!(row(2)[0], "");
        assert_eq!(
            bought[..],
            [
                "first import, `fstat`: whether it is a dma-buf.",
                "first import, `fcntl`, `close` 2 times: one for the next device."
            ]
        );
        assert_eq!(counted(&Data::default()), None);
    }
}
