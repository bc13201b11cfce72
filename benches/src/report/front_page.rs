//! The few rows that the README shows.

use anyhow::{Result, ensure};

use super::markdown::{NOTHING, Table};
use super::sections::machine_in_words;
use super::{Data, names, quantities};

/// Where the rows begin in a file.
pub const BEGIN: &str = "<!-- benchmarks -->";
/// Where they end.
pub const END: &str = "<!-- /benchmarks -->";

/// Operations that the front page shows, each at one size.
const SHOWN: [&str; 7] = [
    "export",
    "import",
    "known_import",
    "framebuffer",
    "flip",
    "known_buffer",
    "handoff",
];
/// The size that is shown if it was measured; else the largest.
const SIZE: &str = "1920x1080";

/// The rows as Markdown, with what a reader must know; they lead to the report at `report`.
pub fn section(data: &Data, report: &str) -> String {
    let mut text = table(data).to_string();
    if let Some(machine) = machine_in_words(data) {
        text.push('\n');
        text.push_str(&machine);
        text.push('\n');
    }
    text.push_str(&format!(
        "\n[The whole report]({report}) has all sizes, other libraries, what sharing replaces, and where \
         we lose.\n"
    ));
    text
}

fn table(data: &Data) -> Table {
    let heads = ["operation", "size", "dmashare", "written by hand", "ratio"];
    let mut table = Table::new(2, heads);
    for operation in SHOWN {
        let library = || data.of(operation, "dmashare");
        let at_size = library().find(|one| one.size == SIZE);
        let Some(one) = at_size.or_else(|| library().last()) else {
            continue;
        };
        let floor = data.time(operation, "floor", &one.size);
        let samples = data.ratio(operation, "floor", &one.size);
        let floor = samples
            .map(|samples| samples.theirs)
            .or(floor.map(|floor| floor.value));
        table.push([
            names::operation(operation),
            names::size(&one.size),
            quantities::time(one.time.value),
            floor.map_or_else(|| NOTHING.to_owned(), quantities::time),
            samples.map_or_else(
                || NOTHING.to_owned(),
                |samples| quantities::ratio(samples.ratio),
            ),
        ]);
    }
    table
}

/// `file` with `section` in place of what stands between the markers.
///
/// # Errors
/// When there is not one of each marker, in order.
pub fn replace(file: &str, section: &str) -> Result<String> {
    let (before, after) = around(file)?;
    Ok(format!("{before}{BEGIN}\n\n{section}\n{END}{after}"))
}

/// What stands before the markers, and after.
fn around(file: &str) -> Result<(&str, &str)> {
    for marker in [BEGIN, END] {
        let count = file.matches(marker).count();
        ensure!(
            count == 1,
            "there must be one {marker}, and there are {count}"
        );
    }
    let parts = file.split_once(BEGIN);
    let parts = parts.and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    parts.ok_or_else(|| anyhow::anyhow!("{END} stands before {BEGIN}"))
}

#[cfg(test)]
mod tests {
    use super::super::data::tests::{data_of, ratio_of};
    use super::*;

    #[test]
    fn what_stands_between_the_markers_is_replaced_and_nothing_else() {
        let file = "# Title\n\n<!-- benchmarks -->\nold\n<!-- /benchmarks -->\n\nEnd.\n";
        let replaced = replace(file, "new\n").unwrap();
        assert_eq!(
            replaced,
            "# Title\n\n<!-- benchmarks -->\n\nnew\n\n<!-- /benchmarks -->\n\nEnd.\n"
        );
        assert_eq!(replace(&replaced, "new\n").unwrap(), replaced);
    }

    #[test]
    fn missing_markers_are_errors() {
        for file in [
            "",
            "<!-- benchmarks -->",
            "<!-- /benchmarks -->",
            "<!-- /benchmarks --><!-- benchmarks -->",
            "<!-- benchmarks --><!-- benchmarks --><!-- /benchmarks -->",
        ] {
            assert!(replace(file, "new").is_err(), "{file}");
        }
    }

    #[test]
    fn the_common_size_is_shown_or_the_largest() {
        let mut data = data_of(&[
            ("import", "dmashare", "1920x1080", 150.0),
            ("import", "dmashare", "3840x2160", 160.0),
            ("import", "floor", "1920x1080", 100.0),
            ("flip", "dmashare", "1024x768", 7.0),
        ]);
        data.ratios = vec![ratio_of("import", "floor", "1920x1080", [1.4, 1.5, 1.6])];
        let section = section(&data, "docs/benchmarks.md");
        let import =
            "| first import | 1920×1080 |   150 ns |          100 ns | 1.500× (1.400–1.600) |";
        assert!(section.contains(import), "{section}");
        assert!(
            section.contains(
                "| flip         | 1024×768  |  7.00 ns |               – |                    – |"
            ),
            "{section}"
        );
        assert!(section.contains("(docs/benchmarks.md)"));
    }
}
