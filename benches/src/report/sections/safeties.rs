//! What is done beyond a floor, and what each of it costs.

use super::super::names::{self, Topic};
use super::super::{Block, Cell, Data, Section, Table, quantities};
use super::clocks::of_topics;

/// The safeties of a first import.
const OF_IMPORTS: [&str; 2] = ["check_descriptor", "keep_descriptor"];
/// Those of an export.
const OF_EXPORTS: [&str; 2] = ["check_descriptor", "name_dmabuf"];

/// The library's safeties, each with its time, and what they add up to.
pub(in super::super) fn safeties(data: &Data) -> Option<Section> {
    let shown = of_topics(data, &[Topic::Safeties]);
    if shown.is_empty() {
        return None;
    }
    let mut table = Table::new(2, ["safety", "what it is", "time"]);
    for operation in &shown {
        let what = names::known(operation).map_or("", |name| name.what);
        table.rows.push(vec![
            Cell::from(names::operation(operation)),
            Cell::from(format!("{what}.")),
            time(data, operation)
                .map_or_else(Cell::empty, |time| Cell::from(quantities::time(time))),
        ]);
    }
    let mut blocks = vec![
        Block::Paragraph(
            "Where the library makes system calls that its floor does not, each buys something that \
             drivers and kernel do not give. This is what they cost, each by itself."
                .to_owned(),
        ),
        Block::Table(table),
    ];
    let sums = [
        sum(data, "import", &OF_IMPORTS),
        sum(data, "export", &OF_EXPORTS),
    ];
    let sums: Vec<_> = sums.into_iter().flatten().collect();
    if !sums.is_empty() {
        blocks.push(Block::List(sums));
    }
    Some(Section::new("What the safeties cost", blocks))
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
        let section = safeties(&data).unwrap();
        let [_, Block::Table(table), Block::List(sums)] = &section.blocks[..] else {
            panic!("{section:?}");
        };
        assert_eq!(table.rows.len(), 2);
        assert_eq!(table.rows[0][0].text, "check");
        assert_eq!(table.rows[1][2].text, quantities::time(20_000.0));
        // Without the time of a name, nothing can be said of exports.
        let [sum] = &sums[..] else {
            panic!("{sums:?}");
        };
        let (part, whole) = (quantities::time(30_000.0), quantities::time(100_000.0));
        assert_eq!(
            *sum,
            format!(
                "first import: check and keep are {part} of the {whole} that it takes at 256×256."
            )
        );
        assert_eq!(safeties(&Data::default()), None);
    }
}
