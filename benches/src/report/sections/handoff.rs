//! A frame from who draws it to who reads it.

use super::super::figures::bytes;
use super::super::markdown::Table;
use super::super::names::{self, Topic};
use super::super::{Data, Report, quantities};
use super::clocks::{absences, comparison_table, of_topics, with_peers};

/// Handoffs as times, frames and bytes.
pub(in super::super) fn handoff(data: &Data, report: &mut Report) {
    let shown = of_topics(data, &[Topic::Handoff]);
    if shown.is_empty() {
        return;
    }
    report.section("Handing over frames");
    report.paragraph(
        "One frame after the other from who draws it to who reads it. Nothing is copied, so what that is \
         worth in bytes grows with the size.",
    );
    report.table(&comparison_table(data, &shown));
    report.paragraph("By the library, as frames and as bytes of images:");
    report.table(&rates(data, &shown));
    with_peers(data, &shown, report);
    let absences = absences(data, &shown);
    if !absences.is_empty() {
        report.list(&absences);
    }
}

fn rates(data: &Data, operations: &[&str]) -> Table {
    let heads = ["operation", "size", "frames per second", "bytes per second"];
    let mut table = Table::new(2, heads);
    for operation in operations {
        for (index, one) in data.of(operation, "dmashare").enumerate() {
            let frames = 1e9 / one.time.value;
            // Frames are counted whole.
            let whole = format!("{frames:.0}").parse().unwrap_or(0);
            let bytes = quantities::bytes(frames * bytes(&one.size));
            table.push([
                names::first(index == 0, operation),
                names::size(&one.size),
                quantities::count(whole),
                format!("{bytes}/s"),
            ]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::super::data::tests::data_of;
    use super::*;

    #[test]
    fn a_millisecond_is_a_thousand_frames() {
        let data = data_of(&[("handoff", "dmashare", "512x512", 1e6)]);
        let table = rates(&data, &["handoff"]);
        let row = ["handoff", "512×512", "1,000", "1000 MiB/s"];
        assert_eq!(table.rows()[0], row);
        let mut report = Report::default();
        handoff(&Data::default(), &mut report);
        assert_eq!(report.text, "");
    }
}
