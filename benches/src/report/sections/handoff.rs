//! A frame from who draws it to who reads it.

use super::super::figures::bytes;
use super::super::names::{self, Topic};
use super::super::{Block, Cell, Data, Section, Table, quantities};
use super::clocks::{absences, comparison_table, of_topics, with_peers};

/// Handoffs as times, frames and bytes.
pub(in super::super) fn handoff(data: &Data) -> Option<Section> {
    let shown = of_topics(data, &[Topic::Handoff]);
    if shown.is_empty() {
        return None;
    }
    let mut blocks = vec![
        Block::Paragraph(
            "One frame after the other from who draws it to who reads it. Nothing is copied, so what \
             that is worth in bytes grows with the size."
                .to_owned(),
        ),
        Block::Table(comparison_table(data, &shown)),
        Block::Paragraph("By the library, as frames and as bytes of images:".to_owned()),
        Block::Table(rates(data, &shown)),
    ];
    blocks.extend(with_peers(data, &shown));
    let absences = absences(data, &shown);
    if !absences.is_empty() {
        blocks.push(Block::List(absences));
    }
    Some(Section::new("Handing over frames", blocks))
}

fn rates(data: &Data, operations: &[&str]) -> Table {
    let mut table = Table::new(
        2,
        ["operation", "size", "frames per second", "bytes per second"],
    );
    for operation in operations {
        for (index, one) in data.of(operation, "dmashare").enumerate() {
            let frames = 1e9 / one.time.value;
            // Frames are counted whole.
            let whole = format!("{frames:.0}").parse().unwrap_or(0);
            let name = if index == 0 {
                names::operation(operation)
            } else {
                String::new()
            };
            table.rows.push(vec![
                Cell::from(name),
                Cell::from(names::size(&one.size)),
                Cell::from(quantities::count(whole)),
                Cell::from(format!(
                    "{}/s",
                    quantities::bytes(frames * bytes(&one.size))
                )),
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
        let row: Vec<_> = table.rows[0].iter().map(|cell| &*cell.text).collect();
        assert_eq!(row, ["handoff", "512×512", "1,000", "1000 MiB/s"]);
        assert_eq!(handoff(&Data::default()), None);
    }
}
