//! The report for a terminal: its tables and what they say, without pictures.

use std::fmt::Write;

use comfy_table::{CellAlignment, ContentArrangement, Table as Grid, presets};

use super::{Block, Document, Table};

/// Every section that has figures.
pub fn text(document: &Document) -> String {
    let mut text = String::new();
    for section in &document.sections {
        let shown = section.blocks.iter().filter_map(shown);
        let shown: Vec<String> = shown.collect();
        if !shown.is_empty() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n{}\n\n{}", section.title, shown.join("\n"));
        }
    }
    text.replace('`', "")
}

fn shown(block: &Block) -> Option<String> {
    match block {
        Block::Table(table) => Some(grid(table)),
        Block::List(items) => Some(items.iter().map(|item| format!("- {item}\n")).collect()),
        Block::Paragraph(_) | Block::Figure(_) | Block::Commands(_) => None,
    }
}

fn grid(table: &Table) -> String {
    let mut grid = Grid::new();
    grid.load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    if table.heads.iter().any(|head| !head.is_empty()) {
        grid.set_header(&table.heads);
    }
    for row in &table.rows {
        grid.add_row(row.iter().map(|cell| &cell.text));
    }
    for (index, column) in grid.column_iter_mut().enumerate() {
        if index >= table.names {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = grid.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, Section};
    use super::*;

    #[test]
    fn figures_stand_to_the_right() {
        let mut table = Table::new(1, ["what", "time"]);
        table
            .rows
            .push(vec![Cell::from("`import`"), Cell::from("1 ms")]);
        table
            .rows
            .push(vec![Cell::from("flip"), Cell::from("100 ms")]);
        let document = Document {
            title: "Costs".to_owned(),
            lead: Vec::new(),
            sections: vec![
                Section::new("Part", vec![Block::Table(table)]),
                Section::new("Words", vec![Block::Paragraph("none".to_owned())]),
            ],
        };
        let text = text(&document);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "Part");
        assert!(
            lines[4].ends_with("  1 ms") && lines[5].ends_with("100 ms"),
            "{text}"
        );
        assert_eq!(lines[4].trim_start().split("  ").next(), Some("import"));
        assert!(!text.contains("Words"));
    }
}
