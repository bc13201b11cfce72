//! The report's text: Markdown, whose pictures are files beside it.

use std::fmt::{self, Write as _};

/// A cell in which there is nothing.
pub(super) const NOTHING: &str = "–";

/// Good news in a table: the page shows emphasis there in green.
pub(super) fn good(text: &str) -> String {
    format!("*{text}*")
}

/// Bad news in a table: the page shows what is strong there in red.
pub(super) fn bad(text: &str) -> String {
    format!("**{text}**")
}

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its file's name without `.svg`.
    pub name: String,
    /// What it shows, for those who do not see it.
    pub alternative: String,
    /// What to look at.
    pub caption: String,
    /// The picture: SVG, dark on white.
    pub svg: String,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// The first this many columns are aligned left, the others right.
    left: usize,
    /// The heads, and below them the rows, each as long as the heads.
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows, whose columns from the one numbered `left` on are figures.
    pub(super) fn new(left: usize, heads: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let heads = heads.into_iter().map(Into::into).collect();
        let rows = vec![heads];
        Self { left, rows }
    }

    /// Adds a row.
    pub(super) fn push(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Whether there are heads only.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// The rows below the heads.
    #[cfg(test)]
    pub(super) fn rows(&self) -> &[Vec<String>] {
        &self.rows[1..]
    }

    /// The heads.
    #[cfg(test)]
    pub(super) fn heads(&self) -> &[String] {
        &self.rows[0]
    }
}

/// Columns are padded, all but the last, so that the table can be read as it is.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = |cell: &String| cell.replace('|', "\\|");
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(escaped).collect())
            .collect();
        let columns = rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
                .max(3)
        };
        for (index, row) in rows.iter().enumerate() {
            for (column, cell) in row.iter().enumerate() {
                let width = width(column);
                match column {
                    column if column >= self.left => write!(f, "| {cell:>width$} ")?,
                    column if column + 1 < columns => write!(f, "| {cell:<width$} ")?,
                    _ => write!(f, "| {cell} ")?,
                }
            }
            writeln!(f, "|")?;
            if index == 0 {
                for column in 0..columns {
                    let (rule, colon) = if column < self.left {
                        ("-", "")
                    } else {
                        ("", ":")
                    };
                    let is_padded = column >= self.left || column + 1 < columns;
                    let dashes = "-".repeat(if is_padded { width(column) } else { 3 } - 1);
                    write!(f, "| {rule}{dashes}{colon} ")?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

/// The report: its text, to which each part of it is added, and its pictures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Markdown.
    pub text: String,
    /// The pictures to which the text refers as `NAME.svg`.
    pub pictures: Vec<Picture>,
}

impl Report {
    /// A report of this title.
    pub(super) fn new(title: &str) -> Self {
        let text = format!("# {title}\n");
        Self {
            text,
            ..Self::default()
        }
    }

    /// Adds a block after an empty line.
    fn add(&mut self, block: impl fmt::Display) {
        // Writing to a String cannot fail.
        let _ = write!(self.text, "\n{block}");
    }

    /// Begins a part.
    pub(super) fn section(&mut self, title: &str) {
        self.add(format_args!("## {title}\n"));
    }

    /// Adds sentences.
    pub(super) fn paragraph(&mut self, text: impl fmt::Display) {
        self.add(format_args!("{text}\n"));
    }

    /// Adds short texts.
    pub(super) fn list(&mut self, items: &[String]) {
        let items: String = items.iter().map(|item| format!("- {item}\n")).collect();
        self.add(items);
    }

    /// Adds a table.
    pub(super) fn table(&mut self, table: &Table) {
        self.add(table);
    }

    /// Adds lines for a shell.
    pub(super) fn commands(&mut self, commands: &str) {
        self.add(format_args!("```sh\n{commands}\n```\n"));
    }

    /// Adds a picture with its caption.
    pub(super) fn picture(&mut self, picture: Picture) {
        let (name, alternative) = (&picture.name, &picture.alternative);
        self.add(format_args!(
            "![{alternative}]({name}.svg)\n\n*{}*\n",
            picture.caption
        ));
        self.pictures.push(picture);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_written() {
        let mut table = Table::new(1, ["what", "time"]);
        table.push(["a|b".to_owned(), bad("1 ms")]);
        let mut report = Report::new("Costs");
        report.paragraph("Text.");
        report.section("Part");
        report.list(&["one".to_owned(), "two".to_owned()]);
        report.table(&table);
        report.picture(Picture {
            name: "picture".to_owned(),
            alternative: "curves".to_owned(),
            caption: "Flat is good.".to_owned(),
            svg: String::new(),
        });
        report.commands("cargo bench");
        let expected = "# Costs\n\nText.\n\n## Part\n\n- one\n- two\n\n| what |     time |\n| ---- | -------: |\n\
            | a\\|b | **1 ms** |\n\n![curves](picture.svg)\n\n*Flat is good.*\n\n```sh\ncargo bench\n```\n";
        assert_eq!(report.text, expected);
        assert_eq!(report.pictures.len(), 1);
    }
}
