//! What is done beyond a floor, and what each of it costs.

use super::super::markdown::{NOTHING, Table};
use super::super::names::{self, Topic};
use super::super::{Data, Report, quantities};
use super::clocks::of_topics;
use crate::OperationKind;

/// The safeties of a first import.
const OF_IMPORTS: [&str; 2] = ["check_descriptor", "keep_descriptor"];
/// Those of an export.
const OF_EXPORTS: [&str; 2] = ["check_descriptor", "name_dmabuf"];

/// The library's safeties, each with its time, and what they add up to.
pub(in super::super) fn safeties(data: &Data, report: &mut Report) {
    let shown = of_topics(data, &[Topic::Safeties]);
    if shown.is_empty() {
        return;
    }
    let mut table = Table::new(3, ["safety", "time", "what it is"]);
    for operation in &shown {
        let what = OperationKind::named(operation).map(|kind| format!("{}.", kind.meaning()));
        table.push([
            names::operation(operation),
            time(data, operation).map_or_else(|| NOTHING.to_owned(), quantities::time),
            what.unwrap_or_default(),
        ]);
    }
    report.section("What the safeties cost");
    report.paragraph(
        "Where the library makes system calls that its floor does not, each buys something that drivers \
         and kernel do not give. This is what they cost, each by itself.",
    );
    report.table(&table);
    let sums = [
        sum(data, "import", &OF_IMPORTS),
        sum(data, "export", &OF_EXPORTS),
    ];
    let sums: Vec<_> = sums.into_iter().flatten().collect();
    if !sums.is_empty() {
        report.list(&sums);
    }
}

/// The time of an operation that has one size only.
fn time(data: &Data, operation: &str) -> Option<f64> {
    let one = data.of(operation, "floor").next()?;
    Some(one.time.value)
}

/// What safeties add up to, beside the operation that they are a part of, at its smallest size.
fn sum(data: &Data, operation: &str, safeties: &[&str]) -> Option<String> {
    let whole = data.of(operation, "dmashare").next()?;
    let times: Option<Vec<f64>> = safeties.iter().map(|one| time(data, one)).collect();
    let sum: f64 = times?.iter().sum();
    let parts: Vec<_> = safeties.iter().map(|one| names::operation(one)).collect();
    Some(format!(
        "{}: {} are {} of the {} that it takes at {}.",
        names::operation(operation),
        parts.join(" and "),
        quantities::time(sum),
        quantities::time(whole.time.value),
        names::size(&whole.size)
    ))
}

#[cfg(test)]
mod tests {
    use super::super::super::data::tests::data_of;
    use super::*;

    #[test]
    fn what_was_measured_is_added_up() {
        let data = data_of(&[
            ("import", "dmashare", "256x256", 100_000.0),
            ("export", "dmashare", "256x256", 1e6),
            ("check_descriptor", "floor", "256x256", 10_000.0),
            ("keep_descriptor", "floor", "256x256", 20_000.0),
        ]);
        let text = |data: &Data| {
            let mut report = Report::default();
            safeties(data, &mut report);
            report.text
        };
        let told = text(&data);
        let (part, whole) = (quantities::time(30_000.0), quantities::time(100_000.0));
        for expected in [
            "\n| check  | 10.0 µs | `fstat`: whether",
            "\n| keep   | 20.0 µs | `fcntl` and `close`: Vulkan",
            &format!(
                "\n- first import: check and keep are {part} of the {whole} that it takes at 256×256.\n"
            ),
        ] {
            assert!(told.contains(expected), "{expected} is not in {told}");
        }
        // Without the time of a name, nothing can be said of exports.
        assert!(!told.contains("\n- export"), "{told}");
        assert_eq!(text(&Data::default()), "");
    }
}
