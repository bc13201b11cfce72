//! How long each operation takes, by everyone who can do it.

use std::collections::BTreeMap;

use super::super::names::{self, PEERS, Topic};
use super::super::{Block, Cell, Data, Loss, Ratio, Section, Table, Tone, losses, quantities};

/// Topics whose operations are compared here; handoffs and copies have sections of their own.
const TOPICS: [Topic; 4] = [Topic::Sharing, Topic::Fences, Topic::Moves, Topic::Other];

/// The tables of what was measured, and who could not do it.
pub(in super::super) fn clocks(data: &Data) -> Option<Section> {
    let shown: Vec<&str> = of_topics(data, &TOPICS);
    if shown.is_empty() {
        return None;
    }
    let mut blocks = vec![Block::Paragraph(
        "Medians. A ratio says how the library's time compares with that column's, of samples taken in \
         turns: below 1 the library is faster."
            .to_owned(),
    )];
    blocks.push(Block::Table(comparison_table(data, &shown)));
    blocks.extend(with_peers(data, &shown));
    let meanings = shown.iter().filter_map(|operation| {
        let known = names::known(operation)?;
        Some(format!("{}: {}.", known.title, known.what))
    });
    blocks.push(Block::Paragraph("What is timed:".to_owned()));
    blocks.push(Block::List(meanings.collect()));
    let absences = absences(data, &shown);
    if !absences.is_empty() {
        blocks.push(Block::Paragraph("Who has no figure, and why:".to_owned()));
        blocks.push(Block::List(absences));
    }
    Some(Section::new("How long it takes", blocks))
}

/// The floor, and the floor with the library's safety checks.
const FLOORS: [&str; 2] = ["floor", "checked_floor"];

/// The operations that other libraries can do, beside them.
pub(super) fn with_peers(data: &Data, operations: &[&str]) -> Vec<Block> {
    let has_peer = |operation: &&str| {
        let mut peers = PEERS.iter();
        peers.any(|peer| data.of(operation, peer).next().is_some())
    };
    let operations: Vec<&str> = operations.iter().copied().filter(has_peer).collect();
    if operations.is_empty() {
        return Vec::new();
    }
    vec![
        Block::Paragraph(
            "The same beside other libraries. Each was measured in turns with the library, at a moment of \
             its own, so the library's times differ a little from those above."
                .to_owned(),
        ),
        Block::Table(peers_table(data, &operations)),
    ]
}

/// The library beside each of the peers, by the samples that they took in turns.
fn peers_table(data: &Data, operations: &[&str]) -> Table {
    let heads = ["operation", "beside", "size", "dmashare", "theirs", "ratio"];
    let mut table = Table::new(3, heads);
    let losses = losses(data);
    for operation in operations {
        let mut name = names::operation(operation);
        for peer in PEERS {
            let mut beside = names::side(peer).to_owned();
            for size in data.sizes(operation) {
                let Some(samples) = data.ratio(operation, peer, size) else {
                    continue;
                };
                table.rows.push(vec![
                    // Each once, before what belongs to it.
                    Cell::from(std::mem::take(&mut name)),
                    Cell::from(std::mem::take(&mut beside)),
                    Cell::from(names::size(size)),
                    Cell::from(quantities::time(samples.ours)),
                    Cell::from(quantities::time(samples.theirs)),
                    ratio_cell(samples, &losses),
                ]);
            }
        }
    }
    table
}

/// A ratio, which stands out where the library loses or wins.
fn ratio_cell(samples: &Ratio, losses: &[Loss]) -> Cell {
    let lost = losses.iter().any(|loss| {
        let is_same = loss.operation == samples.operation && loss.beside == samples.beside;
        is_same && loss.at.iter().any(|(at, _)| *at == samples.size)
    });
    let tone = match samples.ratio {
        _ if lost => Tone::Bad,
        ratio if ratio.high < 0.95 => Tone::Good,
        _ => Tone::Plain,
    };
    Cell::new(quantities::ratio(samples.ratio), tone)
}

/// What was measured of some topics, in the order of the report.
pub(super) fn of_topics<'a>(data: &'a Data, topics: &[Topic]) -> Vec<&'a str> {
    let mut operations = data.operations();
    operations.retain(|operation| topics.contains(&names::topic(operation)));
    operations.sort_by_key(|operation| names::position(operation));
    operations
}

/// Operations with their times beside the floors, one row for each size; a column only for a floor that
/// has figures.
pub(super) fn comparison_table(data: &Data, operations: &[&str]) -> Table {
    let has_figures = |by: &&str| {
        let mut all = operations.iter();
        all.any(|operation| data.of(operation, by).next().is_some())
    };
    let floors: Vec<&str> = FLOORS.into_iter().filter(has_figures).collect();
    let mut heads = vec![
        "operation".to_owned(),
        "size".to_owned(),
        "dmashare".to_owned(),
    ];
    for by in &floors {
        heads.push(names::side(by).to_owned());
        heads.push("ratio".to_owned());
    }
    let mut table = Table::new(2, heads);
    let losses = losses(data);
    for operation in operations {
        for (index, size) in data.sizes(operation).into_iter().enumerate() {
            let time = |by| match data.time(operation, by, size) {
                Some(time) => Cell::from(quantities::time(time.value)),
                None => Cell::empty(),
            };
            // The name once, before its sizes.
            let name = if index == 0 {
                names::operation(operation)
            } else {
                String::new()
            };
            let mut row = vec![
                Cell::from(name),
                Cell::from(names::size(size)),
                time("dmashare"),
            ];
            for by in &floors {
                let samples = data.ratio(operation, by, size);
                // The samples taken in turns with those of the library's own time.
                let theirs = match samples {
                    Some(samples) => Cell::from(quantities::time(samples.theirs)),
                    None => time(by),
                };
                let ratio =
                    samples.map_or_else(Cell::empty, |samples| ratio_cell(samples, &losses));
                row.extend([theirs, ratio]);
            }
            table.rows.push(row);
        }
    }
    table
}

/// Who could not do some of these operations: one line for each reason.
pub(super) fn absences(data: &Data, operations: &[&str]) -> Vec<String> {
    let mut reasons: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for absence in &data.absences {
        if operations.contains(&&*absence.operation) {
            let key = (&*absence.by, &*absence.reason);
            let operation = names::operation(&absence.operation);
            reasons.entry(key).or_default().push(operation);
        }
    }
    let lines = reasons.into_iter().map(|((by, reason), operations)| {
        let (by, operations) = (names::side_in_words(by), operations.join(", "));
        format!("{by}, {operations}: {reason}.")
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::data::tests::{data_of, ratio_of};
    use super::*;
    use crate::Absence;

    #[test]
    fn columns_are_there_for_who_has_figures_and_losses_stand_out() {
        let mut data = data_of(&[
            ("import", "dmashare", "256x256", 150.0),
            ("import", "floor", "256x256", 100.0),
            ("import", "gbm", "256x256", 300.0),
            ("import", "dmashare", "1920x1080", 150.0),
        ]);
        data.ratios = vec![
            ratio_of("import", "floor", "256x256", [1.4, 1.5, 1.6]),
            ratio_of("import", "gbm", "256x256", [0.4, 0.5, 0.6]),
        ];
        let table = comparison_table(&data, &["import"]);
        let heads = ["operation", "size", "dmashare", "floor", "ratio"];
        assert_eq!(table.heads, heads);
        let first: Vec<_> = table.rows[0].iter().map(|cell| &*cell.text).collect();
        assert_eq!(&first[..3], ["first import", "256×256", "150 ns"]);
        assert_eq!(table.rows[0][4].tone, Tone::Bad);
        let second: Vec<_> = table.rows[1].iter().map(|cell| &*cell.text).collect();
        assert_eq!(second, ["", "1920×1080", "150 ns", "–", "–"]);
        let [_, Block::Table(table)] = &with_peers(&data, &["export", "import"])[..] else {
            panic!("a peer was measured");
        };
        let row: Vec<_> = table.rows[0].iter().map(|cell| &*cell.text).collect();
        assert_eq!(row[..3], ["first import", "GBM", "256×256"]);
        assert_eq!(table.rows[0][5].tone, Tone::Good);
        assert_eq!(table.rows.len(), 1, "a size at which nobody was beside");
        assert_eq!(with_peers(&data, &["export"]), []);
    }

    #[test]
    fn reasons_are_told_once() {
        let absence = |operation: &str| Absence {
            operation: operation.to_owned(),
            by: "gbm".to_owned(),
            reason: "GBM draws nothing".to_owned(),
        };
        let data = Data {
            absences: vec![absence("flip"), absence("import"), absence("handoff")],
            ..Data::default()
        };
        let told = absences(&data, &["flip", "import"]);
        assert_eq!(told, ["GBM, flip, first import: GBM draws nothing."]);
    }
}
