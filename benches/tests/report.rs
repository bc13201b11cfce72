//! The project's own figures, as they are committed: what is shown is what comes of the data.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use dmashare_bench::report::{Data, files, front_page};

const AGAIN: &str = "run: cargo run --profile bench -p dmashare-bench --bin report -- \
                     --from docs/benchmarks.json --docs";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn data() -> Data {
    files::read_data(&root().join("docs").join(files::DATA)).unwrap()
}

#[test]
fn the_report_in_docs_is_what_comes_of_its_data() {
    let files = files::markdown_files(&data()).unwrap();
    assert!(files.iter().any(|(name, _)| name == files::MARKDOWN));
    for (name, content) in files {
        let path = root().join("docs").join(&name);
        let there =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}; {AGAIN}"));
        assert!(there == content, "docs/{name} is of other data; {AGAIN}");
    }
}

#[test]
fn the_front_page_shows_what_comes_of_the_data() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let section = front_page::section(&data(), "docs/benchmarks.md");
    let replaced = front_page::replace(&readme, &section).unwrap();
    assert!(
        replaced == readme,
        "the figures in README.md are of other data; {AGAIN}"
    );
    assert!(section.contains("| first import "), "{section}");
}

/// Every picture in docs belongs to the report: one that is no longer made is removed.
#[test]
fn no_picture_is_left_over() {
    let files = files::markdown_files(&data()).unwrap();
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_ours = name.starts_with("benchmarks");
        assert!(
            !is_ours || files.iter().any(|(file, _)| *file == name),
            "docs/{name} is of no report"
        );
    }
}
