//! What sharing replaces: copies, and from which size on they cost more.

use anyhow::Result;

use super::super::crossing::{Crossing, crossing};
use super::super::markdown::{NOTHING, Table};
use super::super::names::{self, Topic};
use super::super::{Data, Report, figures, quantities};
use super::clocks::of_topics;

/// What takes the place of a copy.
const INSTEAD: [&str; 2] = ["handoff", "import"];

/// Copies beside sharing; only if both were measured, or the picture has something to show.
pub(in super::super) fn replaced(data: &Data, report: &mut Report) -> Result<()> {
    let Some(picture) = figures::against_size(data)? else {
        return Ok(());
    };
    let copies = of_topics(data, &[Topic::Copies]);
    report.section("What sharing replaces");
    report.paragraph(if copies.is_empty() {
        "No copies were measured in this run."
    } else {
        "Without sharing, each frame is copied. This is what copies cost, beside what takes their place."
    });
    report.picture(picture);
    if !copies.is_empty() {
        report.table(&table(data, &copies));
        report.list(&crossings(data, &copies));
    }
    Ok(())
}

/// One row a size, one column for each way.
fn table(data: &Data, copies: &[&str]) -> Table {
    let copied = copies.iter().map(|copy| (*copy, "floor"));
    let instead = INSTEAD.iter().map(|one| (*one, "dmashare"));
    let ways: Vec<_> = copied
        .chain(instead)
        .filter(|(operation, by)| data.of(operation, by).next().is_some())
        .collect();
    let mut heads = vec!["size".to_owned(), "bytes".to_owned()];
    heads.extend(ways.iter().map(|(way, _)| names::operation(way)));
    let mut table = Table::new(1, heads);
    let mut sizes: Vec<&str> = copies.iter().flat_map(|copy| data.sizes(copy)).collect();
    sizes.sort_by_key(|size| super::super::data::amount(size));
    sizes.dedup();
    for size in sizes {
        let bytes = quantities::bytes(figures::bytes(size));
        let mut row = vec![names::size(size), bytes];
        row.extend(ways.iter().map(|(operation, by)| {
            let time = data.time(operation, by, size);
            time.map_or_else(|| NOTHING.to_owned(), |time| quantities::time(time.value))
        }));
        table.push(row);
    }
    table
}

/// From which size on each copy costs more than what takes its place.
fn crossings(data: &Data, copies: &[&str]) -> Vec<String> {
    let mut sentences = Vec::new();
    for copy in copies {
        for instead in INSTEAD {
            let both = data.of(copy, "floor").filter_map(|one| {
                let shared = data.time(instead, "dmashare", &one.size)?;
                Some((figures::bytes(&one.size), one.time.value, shared.value))
            });
            if let Some(crossing) = crossing(&both.collect::<Vec<_>>()) {
                sentences.push(in_words(copy, instead, crossing));
            }
        }
    }
    sentences
}

fn in_words(copy: &str, instead: &str, crossing: Crossing) -> String {
    let (copy, instead) = (names::operation(copy), names::operation(instead));
    let size = |bytes: f64| {
        let side = (bytes / 4.0).sqrt();
        format!(
            "{} (about {side:.0}×{side:.0} pixels)",
            quantities::bytes(bytes)
        )
    };
    match crossing {
        Crossing::AlwaysMore => {
            format!("A {copy} costs more than a {instead} at all sizes that were measured.")
        }
        Crossing::AlwaysLess => {
            format!("A {copy} costs less than a {instead} at all sizes that were measured.")
        }
        Crossing::MoreAbove(bytes) => format!(
            "A {copy} costs as much as a {instead} at {}: less below, more above.",
            size(bytes)
        ),
        Crossing::LessAbove(bytes) => format!(
            "A {copy} costs as much as a {instead} at {}: more below, less above.",
            size(bytes)
        ),
        Crossing::Often => format!(
            "A {copy} and a {instead} cost about the same: which costs more changes back and forth with \
             the size."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::data::tests::data_of;
    use super::*;

    #[test]
    fn the_crossing_is_told_in_bytes_and_pixels() {
        // 64 KiB pixels cost 100, 1 Mi pixels cost 1600: at 256 Ki pixels, 400.
        let data = data_of(&[
            ("copy_gpu", "floor", "256x256", 100.0),
            ("copy_gpu", "floor", "1024x1024", 1600.0),
            ("copy_socket", "floor", "256x256", 1000.0),
            ("copy_socket", "floor", "1024x1024", 16000.0),
            ("handoff", "dmashare", "256x256", 400.0),
            ("handoff", "dmashare", "1024x1024", 400.0),
        ]);
        let mut report = Report::default();
        replaced(&data, &mut report).unwrap();
        let text = report.text;
        for sentence in [
            "A copy by the GPU costs as much as a handoff at 1.00 MiB (about 512×512 pixels): less below",
            "A copy through a socket costs more than a handoff at all sizes that were measured.",
            "](benchmarks-size.svg)",
        ] {
            assert!(text.contains(sentence), "{text}");
        }
        let heads = [
            "size",
            "bytes",
            "copy by the GPU",
            "copy through a socket",
            "handoff",
        ];
        assert_eq!(table(&data, &["copy_gpu", "copy_socket"]).heads(), heads);
    }

    #[test]
    fn nothing_makes_no_section() {
        let mut report = Report::default();
        replaced(&Data::default(), &mut report).unwrap();
        assert_eq!(report, Report::default());
    }
}
