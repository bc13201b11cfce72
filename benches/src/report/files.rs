//! The report's files.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Data, document, front_page, html};

/// The file of all data.
pub const DATA: &str = "benchmarks.json";
/// The report as Markdown.
pub const MARKDOWN: &str = "benchmarks.md";
/// The report as one page of HTML.
pub const PAGE: &str = "index.html";

/// A file's name and its content.
pub type File = (String, String);

/// The Markdown with its pictures, and the data.
///
/// # Errors
/// When a picture cannot be drawn.
pub fn markdown_files(data: &Data) -> Result<Vec<File>> {
    let report = document(data)?;
    let pictures = report.pictures.into_iter();
    let pictures = pictures.map(|picture| (format!("{}.svg", picture.name), picture.svg));
    let mut files: Vec<File> = pictures.collect();
    files.push((MARKDOWN.to_owned(), report.text));
    let mut json = serde_json::to_string_pretty(data)?;
    json.push('\n');
    files.push((DATA.to_owned(), json));
    Ok(files)
}

/// Writes the page, the Markdown with its pictures and the data into `folder`, which is made.
///
/// # Errors
/// When a picture cannot be drawn, or a file cannot be written.
pub fn write_report(folder: &Path, data: &Data) -> Result<()> {
    let mut files = markdown_files(data)?;
    files.push((PAGE.to_owned(), html::page(&document(data)?)));
    write(folder, &files)
}

/// Writes the project's own figures: `docs/benchmarks.*` and the part of the README between its markers.
///
/// # Errors
/// When a picture cannot be drawn, the README has no markers, or a file cannot be written.
pub fn write_docs(root: &Path, data: &Data) -> Result<()> {
    let readme = root.join("README.md");
    let text =
        fs::read_to_string(&readme).with_context(|| format!("cannot read {}", readme.display()))?;
    let replaced = front_page::replace(&text, &front_page::section(data, "docs/benchmarks.md"))
        .with_context(|| format!("cannot change {}", readme.display()))?;
    let (docs, files) = (root.join("docs"), markdown_files(data)?);
    remove_old_pictures(&docs, &files)?;
    write(&docs, &files)?;
    write(root, &[("README.md".to_owned(), replaced)])
}

/// Reads the data of an earlier report.
///
/// # Errors
/// When the file cannot be read, or is something else.
pub fn read_data(path: &Path) -> Result<Data> {
    super::criterion_results::read_json(path)
}

/// Pictures of earlier data that are not made any more.
fn remove_old_pictures(docs: &Path, files: &[File]) -> Result<()> {
    if !docs.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(docs).with_context(|| format!("cannot list {}", docs.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_picture = name.starts_with("benchmarks-") && name.ends_with(".svg");
        if is_picture && !files.iter().any(|(file, _)| *file == name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn write(folder: &Path, files: &[File]) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, content) in files {
        let path = folder.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::data::tests::{data_of, ratio_of};
    use super::super::sections::lab;
    use super::*;

    fn data() -> Data {
        let mut data = data_of(&[
            ("import", "dmashare", "256x256", 150_123.0),
            ("import", "dmashare", "1920x1080", 151_234.5),
            ("import", "floor", "256x256", 100_987.0),
        ]);
        data.ratios = vec![ratio_of("import", "floor", "256x256", [1.4, 1.5, 1.6])];
        data.machine = Some(lab());
        data
    }

    #[test]
    fn a_report_is_made_again_of_its_data() {
        let folder = tempfile::tempdir().unwrap();
        let report = folder.path().join("a/report");
        write_report(&report, &data()).unwrap();
        let names = [
            "index.html",
            "benchmarks.md",
            "benchmarks.json",
            "benchmarks-size.svg",
        ];
        let read = || names.map(|name| fs::read_to_string(report.join(name)).unwrap());
        let first = read();
        let again = read_data(&report.join(DATA)).unwrap();
        assert_eq!(again, data());
        write_report(&report, &again).unwrap();
        assert_eq!(read(), first);
        assert!(first[1].contains("](benchmarks-size.svg)"), "{}", first[1]);
        assert!(first[0].contains("<svg"), "{}", first[0]);
    }

    #[test]
    fn the_projects_own_figures_are_written_only_between_markers() {
        let root = tempfile::tempdir().unwrap();
        let readme = root.path().join("README.md");
        assert!(write_docs(root.path(), &data()).is_err());
        fs::write(&readme, "# Title\n").unwrap();
        assert!(write_docs(root.path(), &data()).is_err());
        assert!(!root.path().join("docs").exists());
        fs::write(
            &readme,
            "# Title\n<!-- benchmarks -->\n<!-- /benchmarks -->\n",
        )
        .unwrap();
        fs::create_dir(root.path().join("docs")).unwrap();
        let kept =
            ["benchmarks-old.svg", "scanout.svg"].map(|name| root.path().join("docs").join(name));
        for picture in &kept {
            fs::write(picture, "").unwrap();
        }
        write_docs(root.path(), &data()).unwrap();
        assert_eq!(kept.map(|picture| picture.exists()), [false, true]);
        let text = fs::read_to_string(&readme).unwrap();
        assert!(
            text.contains("first import") && text.starts_with("# Title\n"),
            "{text}"
        );
        assert!(root.path().join("docs/benchmarks.md").is_file());
    }
}
