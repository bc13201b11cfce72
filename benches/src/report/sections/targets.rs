//! What was promised, and whether it holds.

use super::super::{Block, Cell, Data, Section, Table, Tone, verdicts};

/// Each target with its figure.
pub(in super::super) fn targets(data: &Data) -> Section {
    let verdicts = verdicts(data);
    let count = |met| verdicts.iter().filter(|verdict| verdict.met == met).count();
    let (met, missed, unknown) = (count(Some(true)), count(Some(false)), count(None));
    let mut summary = format!("{met} met, {missed} not met");
    if unknown > 0 {
        summary.push_str(&format!(", {unknown} not measured in this run"));
    }
    summary.push('.');
    let mut table = Table::new(3, ["target", "measured", ""]);
    for verdict in verdicts {
        let (word, tone) = match verdict.met {
            Some(true) => ("met", Tone::Good),
            Some(false) => ("not met", Tone::Bad),
            None => ("–", Tone::Quiet),
        };
        let figure_tone = if verdict.met.is_none() {
            Tone::Quiet
        } else {
            Tone::Plain
        };
        table.rows.push(vec![
            Cell::from(verdict.target),
            Cell::new(verdict.figure, figure_tone),
            Cell::new(word, tone),
        ]);
    }
    Section::new(
        "Targets",
        vec![Block::Paragraph(summary), Block::Table(table)],
    )
}
