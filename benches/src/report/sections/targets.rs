//! What was promised, and whether it holds.

use super::super::{Block, Cell, Data, Section, Table, Tone, verdicts};

/// Each target with its figure.
pub(in super::super) fn targets(data: &Data) -> Section {
    let verdicts = verdicts(data);
    let count = |met| verdicts.iter().filter(|verdict| verdict.met == met).count();
    let (met, missed) = (count(Some(true)), count(Some(false)));
    let mut blocks = vec![Block::Paragraph(format!("{met} met, {missed} not met."))];
    let mut table = Table::new(3, ["target", "measured", ""]);
    let mut left_out = Vec::new();
    for verdict in verdicts {
        let (word, tone) = match verdict.met {
            Some(true) => ("met", Tone::Good),
            Some(false) => ("not met", Tone::Bad),
            None => {
                left_out.push(verdict.target);
                continue;
            }
        };
        table.rows.push(vec![
            Cell::from(verdict.target),
            Cell::from(verdict.figure),
            Cell::new(word, tone),
        ]);
    }
    if !table.rows.is_empty() {
        blocks.push(Block::Table(table));
    }
    if !left_out.is_empty() {
        let left_out = left_out.join("; ");
        blocks.push(Block::Paragraph(format!(
            "Not measured in this run: {left_out}."
        )));
    }
    Section::new("Targets", blocks)
}

#[cfg(test)]
mod tests {
    use super::super::super::data::tests::ratio_of;
    use super::*;

    #[test]
    fn what_was_not_measured_is_named_and_not_counted() {
        let data = Data {
            ratios: vec![
                ratio_of("export", "floor", "256x256", [0.9, 1.0, 1.1]),
                ratio_of("flip", "floor", "1024x768", [1.1, 1.2, 1.3]),
            ],
            ..Data::default()
        };
        let section = targets(&data);
        let [
            Block::Paragraph(summary),
            Block::Table(table),
            Block::Paragraph(left_out),
        ] = &section.blocks[..]
        else {
            panic!("{section:?}");
        };
        assert_eq!(summary, "1 met, 1 not met.");
        let words: Vec<_> = table.rows.iter().map(|row| &*row[2].text).collect();
        assert_eq!(words, ["met", "not met"]);
        assert!(
            left_out.contains("; known import: at least 20× "),
            "{left_out}"
        );
    }
}
