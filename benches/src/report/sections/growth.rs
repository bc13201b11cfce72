//! How the contract's cost grows with the number of buffers, and of threads.

use anyhow::Result;

use super::super::{Block, Cell, Data, Section, Table, Tone, figures, quantities};

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
pub(in super::super) fn growth(data: &Data) -> Result<Option<Section>> {
    let mut blocks = Vec::new();
    let mut benches: Vec<(&str, &str, &str)> = BENCHES.to_vec();
    for one in &data.growths {
        if !benches.iter().any(|(bench, ..)| *bench == one.bench) {
            benches.push((&one.bench, "buffers", ""));
        }
    }
    for (bench, of_what, what) in benches {
        let table = growth_table(data, bench, of_what);
        if table.rows.is_empty() {
            continue;
        }
        let colon = if what.is_empty() { "" } else { ": " };
        let mut text = format!("`{bench}`{colon}{what}");
        if let Some(threads) = data.threads.filter(|_| of_what == "threads") {
            text.push_str(&format!(
                " There are {} processors: more threads take turns.",
                threads.processors
            ));
        }
        blocks.push(Block::Paragraph(text));
        if let Some(figure) = figures::against_count(data, bench, of_what)? {
            blocks.push(Block::Figure(figure));
        }
        blocks.push(Block::Table(table));
    }
    let title = "How it grows with buffers and threads";
    Ok((!blocks.is_empty()).then(|| Section::new(title, blocks)))
}

fn growth_table(data: &Data, bench: &str, of_what: &str) -> Table {
    let operations = figures::operations(data, bench);
    let all = operations
        .iter()
        .flat_map(|operation| data.growth(bench, operation));
    let mut counts: Vec<u64> = all.map(|one| one.count).collect();
    counts.sort_unstable();
    counts.dedup();
    let heads = counts
        .iter()
        .map(|&count| format!("{} {of_what}", quantities::count(count)));
    let mut table = Table::new(
        1,
        ["operation".to_owned()]
            .into_iter()
            .chain(heads)
            .chain(["most over fewest".to_owned()]),
    );
    for operation in operations {
        let mut row = vec![Cell::from(operation.replace('_', " "))];
        let costs: Vec<_> = data.growth(bench, operation).collect();
        row.extend(counts.iter().map(|count| {
            let cost = costs.iter().find(|cost| cost.count == *count);
            cost.map_or_else(Cell::empty, |cost| {
                Cell::from(quantities::time(cost.time.value))
            })
        }));
        row.push(match (costs.first(), costs.last()) {
            (Some(fewest), Some(most)) if fewest.count != most.count => {
                Cell::from(quantities::times(most.time.value / fewest.time.value))
            }
            _ => Cell::new("–", Tone::Quiet),
        });
        table.rows.push(row);
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
        let row: Vec<_> = table.rows[0].iter().map(|cell| &*cell.text).collect();
        assert_eq!(
            row,
            ["map unmap", "60.0 ns", "70.0 ns", "90.0 ns", "1.500×"]
        );
        assert_eq!(table.heads[3], "100,000 buffers");
        let section = growth(&data).unwrap().unwrap();
        // Text, picture and table; of the other bench, text and table.
        assert_eq!(section.blocks.len(), 5);
        assert_eq!(growth(&Data::default()).unwrap(), None);
    }
}
