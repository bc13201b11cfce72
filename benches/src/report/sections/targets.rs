//! What was promised, and whether it holds.

use super::super::markdown::{Table, bad, good};
use super::super::{Data, Report, verdicts};

/// Each target with its figure.
pub(in super::super) fn targets(data: &Data, report: &mut Report) {
    let verdicts = verdicts(data);
    let count = |met| verdicts.iter().filter(|verdict| verdict.met == met).count();
    let (met, missed) = (count(Some(true)), count(Some(false)));
    report.section("Targets");
    report.paragraph(format_args!("{met} met, {missed} not met."));
    let mut table = Table::new(3, ["target", "measured", ""]);
    let mut left_out = Vec::new();
    for verdict in verdicts {
        let word = match verdict.met {
            Some(true) => good("met"),
            Some(false) => bad("not met"),
            None => {
                left_out.push(verdict.target);
                continue;
            }
        };
        table.push([verdict.target, verdict.figure, word]);
    }
    if !table.is_empty() {
        report.table(&table);
    }
    if !left_out.is_empty() {
        let left_out = left_out.join("; ");
        report.paragraph(format_args!("Not measured in this run: {left_out}."));
    }
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
        let mut report = Report::default();
        targets(&data, &mut report);
        let text = report.text;
        for part in [
            "\n1 met, 1 not met.\n",
            "| *met* |\n",
            "| **not met** |\n",
            "; known import: at least 20× ",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
}
