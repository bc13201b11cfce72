//! What the reports of `scanout`, `share`, `evict` and `camera` have in common.

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::interrupt;
use crate::leaks::{Baseline, Leaks};
use crate::program::Outcome;
use crate::report_text::Text;

/// What a program says at its end, besides what was left over.
pub(crate) trait RunReport: Serialize {
    /// Counts that must be 0, each with what it counts.
    fn errors(&self) -> Vec<(u64, String)>;
    /// The report for people, without what went wrong.
    fn write_text(&self, text: &mut Text);

    /// Whether the program was asked to end.
    fn is_interrupted(&self) -> bool {
        false
    }
}

/// A report, and what was left over.
#[derive(Debug, Serialize)]
pub(crate) struct Ended<R> {
    #[serde(flatten)]
    pub(crate) report: R,
    #[serde(flatten)]
    pub(crate) leaks: Leaks,
}

impl<R: RunReport> Ended<R> {
    /// All that went wrong, in words.
    pub(crate) fn failures(&self) -> Vec<String> {
        let counts = self.report.errors().into_iter().chain(self.leaks.errors());
        let wrong = counts.filter(|(count, _)| *count > 0);
        wrong.map(|(_, failure)| failure).collect()
    }

    /// One JSON object on one line, with what went wrong as "failures".
    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        let mut value = serde_json::to_value(self)?;
        value["failures"] = self.failures().into();
        Ok(value.to_string())
    }

    /// The report for people.
    pub(crate) fn to_text(&self) -> String {
        let mut text = Text::default();
        self.report.write_text(&mut text);
        self.leaks.write_text(&mut text);
        for failure in self.failures() {
            text.line("wrong", failure);
        }
        text.into_string()
    }
}

/// Runs a program that closes everything before it returns, and adds to its report what was left over.
pub(crate) fn run<R: RunReport>(
    json: bool,
    program: impl FnOnce(&mut Baseline) -> Result<R>,
) -> Result<Outcome> {
    const UNCOUNTED: &str = "the open files cannot be counted";
    let mut baseline = Baseline::take().context(UNCOUNTED)?;
    let report = program(&mut baseline)?;
    let leaks = baseline.compare().context(UNCOUNTED)?;
    let ended = Ended { report, leaks };
    Ok(Outcome {
        output: match json {
            true => ended.to_json()?,
            false => ended.to_text(),
        },
        status: match (ended.failures().is_empty(), ended.report.is_interrupted()) {
            (false, _) => 1,
            (true, true) => interrupt::EXIT_STATUS,
            (true, false) => 0,
        },
    })
}
