//! How long each operation takes, by everyone who can do it.

use std::collections::BTreeMap;

use super::super::markdown::{NOTHING, Table, bad, good};
use super::super::names::{self, PEERS, Topic};
use super::super::{Data, Loss, Ratio, Report, losses, quantities};
use crate::OperationKind;

/// Topics whose operations are compared here; handoffs and copies have sections of their own.
const TOPICS: [Topic; 4] = [Topic::Sharing, Topic::Fences, Topic::Moves, Topic::Other];

/// The tables of what was measured, and who could not do it.
pub(in super::super) fn clocks(data: &Data, report: &mut Report) {
    let shown: Vec<&str> = of_topics(data, &TOPICS);
    if shown.is_empty() {
        return;
    }
    report.section("How long it takes");
    report.paragraph(
        "Medians. A ratio says how the library's time compares with that column's, of samples taken in \
         turns: below 1 the library is faster.",
    );
    report.table(&comparison_table(data, &shown));
    with_peers(data, &shown, report);
    let meanings = shown.iter().filter_map(|operation| {
        let kind = OperationKind::named(operation)?;
        Some(format!("{}: {}.", kind.title(), kind.meaning()))
    });
    report.paragraph("What is timed:");
    report.list(&meanings.collect::<Vec<_>>());
    let absences = absences(data, &shown);
    if !absences.is_empty() {
        report.paragraph("Who has no figure, and why:");
        report.list(&absences);
    }
}

/// The floor, and the floor with the library's safety checks.
const FLOORS: [&str; 2] = ["floor", "checked_floor"];

/// The operations that other libraries can do, beside them.
pub(super) fn with_peers(data: &Data, operations: &[&str], report: &mut Report) {
    let table = peers_table(data, operations);
    if !table.is_empty() {
        report.paragraph(
            "The same beside other libraries. Each was measured in turns with the library, at a moment of \
             its own, so the library's times differ a little from those above.",
        );
        report.table(&table);
    }
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
                table.push([
                    // Each once, before what belongs to it.
                    std::mem::take(&mut name),
                    std::mem::take(&mut beside),
                    names::size(size),
                    quantities::time(samples.ours),
                    quantities::time(samples.theirs),
                    ratio(samples, &losses),
                ]);
            }
        }
    }
    table
}

/// A ratio, which stands out where the library loses or wins.
fn ratio(samples: &Ratio, losses: &[Loss]) -> String {
    let lost = losses.iter().any(|loss| {
        let is_same = loss.operation == samples.operation && loss.beside == samples.beside;
        is_same && loss.at.iter().any(|(at, _)| *at == samples.size)
    });
    let text = quantities::ratio(samples.ratio);
    match samples.ratio {
        _ if lost => bad(&text),
        ratio if ratio.high < 0.95 => good(&text),
        _ => text,
    }
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
                Some(time) => quantities::time(time.value),
                None => NOTHING.to_owned(),
            };
            let name = names::first(index == 0, operation);
            let mut row = vec![name, names::size(size), time("dmashare")];
            for by in &floors {
                match data.ratio(operation, by, size) {
                    // The samples taken in turns with those of the library's own time.
                    Some(samples) => {
                        row.extend([quantities::time(samples.theirs), ratio(samples, &losses)]);
                    }
                    None => row.extend([time(by), NOTHING.to_owned()]),
                }
            }
            table.push(row);
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
        assert_eq!(table.heads(), heads);
        let [first, second] = table.rows() else {
            panic!("{table:?}");
        };
        assert_eq!(&first[..3], ["first import", "256×256", "150 ns"]);
        assert_eq!(first[4], bad("1.500× (1.400–1.600)"));
        assert_eq!(second[..], ["", "1920×1080", "150 ns", "–", "–"]);
        let table = peers_table(&data, &["export", "import"]);
        // One row, because GBM was measured at one size only.
        let [row] = table.rows() else {
            panic!("{table:?}");
        };
        assert_eq!(row[..3], ["first import", "GBM", "256×256"]);
        assert_eq!(row[5], good("0.500× (0.400–0.600)"));
        let mut report = Report::default();
        with_peers(&data, &["export"], &mut report);
        assert_eq!(report.text, "");
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
