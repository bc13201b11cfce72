//! How the contract's cost grows with the number of buffers, and of threads.

use anyhow::Result;

use super::super::markdown::{NOTHING, Table};
use super::super::{Data, Report, figures, quantities};

/// Benches that grow, with what of.
const BENCHES: [(&str, &str, &str); 3] = [
    (
        "contract",
        "buffers",
        "The bookkeeping alone: buffers without memory, and an importer without a device.",
    ),
    (
        "contract_dmabufs",
        "buffers",
        "The same with the kernel's dma-bufs: a move copies 16 KiB, and whatever reads the clock makes a \
         system call if the kernel is the lab's.",
    ),
    (
        "contract_threads",
        "threads",
        "Threads that do the same at the same time, each with buffers and a device of its own. This needs no \
         GPU, and runs outside the lab, in which the threads of one process take turns.",
    ),
];

/// Tables and pictures of the contract's benches.
pub(in super::super) fn growth(data: &Data, report: &mut Report) -> Result<()> {
    if data.growths.is_empty() {
        return Ok(());
    }
    let mut benches: Vec<(&str, &str, &str)> = BENCHES.to_vec();
    for one in &data.growths {
        if !benches.iter().any(|(bench, ..)| *bench == one.bench) {
            benches.push((&one.bench, "buffers", ""));
        }
    }
    report.section("How it grows with buffers and threads");
    for (bench, of_what, what) in benches {
        let table = growth_table(data, bench, of_what);
        if table.is_empty() {
            continue;
        }
        let colon = if what.is_empty() { "" } else { ": " };
        let mut text = format!("`{bench}`{colon}{what}");
        if let Some(threads) = data.threads.filter(|_| of_what == "threads") {
            let processors = threads.processors;
            text.push_str(&format!(
                " There are {processors} processors: more threads take turns."
            ));
        }
        report.paragraph(text);
        if let Some(picture) = figures::against_count(data, bench, of_what)? {
            report.picture(picture);
        }
        report.table(&table);
    }
    Ok(())
}

fn growth_table(data: &Data, bench: &str, of_what: &str) -> Table {
    let operations = figures::operations(data, bench);
    let all = operations
        .iter()
        .flat_map(|operation| data.growth(bench, operation));
    let mut counts: Vec<u64> = all.map(|one| one.count).collect();
    counts.sort_unstable();
    counts.dedup();
    let mut heads = vec!["operation".to_owned()];
    let count = |&count| format!("{} {of_what}", quantities::count(count));
    heads.extend(counts.iter().map(count));
    heads.push("most over fewest".to_owned());
    let mut table = Table::new(1, heads);
    for operation in operations {
        let mut row = vec![operation.replace('_', " ")];
        let costs: Vec<_> = data.growth(bench, operation).collect();
        row.extend(counts.iter().map(|count| {
            let cost = costs.iter().find(|cost| cost.count == *count);
            cost.map_or_else(
                || NOTHING.to_owned(),
                |cost| quantities::time(cost.time.value),
            )
        }));
        row.push(match (costs.first(), costs.last()) {
            (Some(fewest), Some(most)) if fewest.count != most.count => {
                quantities::times(most.time.value / fewest.time.value)
            }
            _ => NOTHING.to_owned(),
        });
        table.push(row);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::super::{Estimate, Growth};
    use super::*;

    #[test]
    fn the_most_buffers_are_compared_with_the_fewest() {
        let cost = |bench: &str, count, value| Growth {
            bench: bench.to_owned(),
            operation: "map_unmap".to_owned(),
            count,
            time: Estimate::about(value),
        };
        let data = Data {
            growths: vec![
                cost("contract", 100, 60.0),
                cost("contract", 1000, 70.0),
                cost("contract", 100_000, 90.0),
                cost("another", 1, 5.0),
            ],
            ..Data::default()
        };
        let table = growth_table(&data, "contract", "buffers");
        let row = ["map unmap", "60.0 ns", "70.0 ns", "90.0 ns", "1.500×"];
        assert_eq!(table.rows()[0], row);
        assert_eq!(table.heads()[3], "100,000 buffers");
        let mut report = Report::default();
        growth(&Data::default(), &mut report).unwrap();
        assert_eq!(report.text, "");
        growth(&data, &mut report).unwrap();
        let text = report.text;
        // The other bench has one count: there is no picture of it.
        assert_eq!(text.matches("![").count(), 1, "{text}");
        assert!(
            text.contains("\n`another`\n\n| operation | 1 buffers |"),
            "{text}"
        );
    }
}
