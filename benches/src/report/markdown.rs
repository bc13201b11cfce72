//! The report as Markdown; its pictures are files beside it.

use std::fmt::Write;

use super::{Block, Document, Table, Tone};

/// The whole document.
pub fn file(document: &Document) -> String {
    let mut text = format!("# {}\n", document.title);
    for block in &document.lead {
        add(&mut text, block);
    }
    for section in &document.sections {
        let _ = write!(text, "\n## {}\n", section.title);
        for block in &section.blocks {
            add(&mut text, block);
        }
    }
    text
}

/// Adds a block after an empty line. Writing to a String cannot fail.
fn add(text: &mut String, block: &Block) {
    text.push('\n');
    match block {
        Block::Paragraph(paragraph) => {
            let _ = writeln!(text, "{paragraph}");
        }
        Block::List(items) => {
            for item in items {
                let _ = writeln!(text, "- {item}");
            }
        }
        Block::Table(rows) => text.push_str(&table(rows)),
        Block::Figure(figure) => {
            let (alternative, name) = (&figure.alternative, &figure.name);
            let _ = write!(
                text,
                "![{alternative}]({name}.svg)\n\n*{}*\n",
                figure.caption
            );
        }
        Block::Commands(commands) => {
            let _ = write!(text, "```sh\n{commands}\n```\n");
        }
    }
}

/// A table, with bad news in bold.
pub fn table(table: &Table) -> String {
    let mut text = String::new();
    let mut row = |cells: &mut dyn Iterator<Item = String>| {
        for cell in cells {
            let _ = write!(text, "| {} ", cell.replace('|', "\\|"));
        }
        text.push_str("|\n");
    };
    row(&mut table.heads.iter().cloned());
    row(&mut (0..table.heads.len()).map(|column| {
        let rule = if column < table.names { "---" } else { "---:" };
        rule.to_owned()
    }));
    for cells in &table.rows {
        row(&mut cells.iter().map(|cell| match cell.tone {
            Tone::Bad => format!("**{}**", cell.text),
            Tone::Plain | Tone::Good | Tone::Quiet => cell.text.clone(),
        }));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, Figure, Section};
    use super::*;

    #[test]
    fn every_block_is_written() {
        let mut rows = Table::new(1, ["what", "time"]);
        rows.rows
            .push(vec![Cell::from("a|b"), Cell::new("1 ms", Tone::Bad)]);
        let figure = Figure {
            name: "picture".to_owned(),
            alternative: "curves".to_owned(),
            caption: "Flat is good.".to_owned(),
            svg: String::new(),
        };
        let document = Document {
            title: "Costs".to_owned(),
            lead: vec![Block::Paragraph("Text.".to_owned())],
            sections: vec![Section::new(
                "Part",
                vec![
                    Block::List(vec!["one".to_owned(), "two".to_owned()]),
                    Block::Table(rows),
                    Block::Figure(figure),
                    Block::Commands("cargo bench".to_owned()),
                ],
            )],
        };
        let expected = "# Costs\n\nText.\n\n## Part\n\n- one\n- two\n\n| what | time |\n| --- | ---: |\n\
            | a\\|b | **1 ms** |\n\n![curves](picture.svg)\n\n*Flat is good.*\n\n```sh\ncargo bench\n```\n";
        assert_eq!(file(&document), expected);
    }
}
