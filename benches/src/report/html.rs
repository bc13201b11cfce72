//! The report as one page of HTML, which needs no other file.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::document::pieces;
use super::plot::{INK, PAPER};
use super::{Block, Cell, Document, Figure, Table, Tone};

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub fn page(document: &Document) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (document.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { (document.title) }
                    @for part in &document.lead { (block(part)) }
                    nav {
                        @for (index, section) in document.sections.iter().enumerate() {
                            a href=(format!("#part-{index}")) { (section.title) }
                        }
                    }
                    @for (index, section) in document.sections.iter().enumerate() {
                        section id=(format!("part-{index}")) {
                            h2 { (section.title) }
                            @for part in &section.blocks { (block(part)) }
                        }
                    }
                }
            }
        }
    };
    page.into_string()
}

fn block(block: &Block) -> Markup {
    html! {
        @match block {
            Block::Paragraph(text) => p { (inline(text)) },
            Block::List(items) => ul { @for item in items { li { (inline(item)) } } },
            Block::Table(table) => (rows(table)),
            Block::Figure(figure) => (picture(figure)),
            Block::Commands(commands) => pre { code { (commands) } },
        }
    }
}

fn rows(table: &Table) -> Markup {
    let class = |column: usize| (column >= table.names).then_some("figure");
    let headed = table.heads.iter().any(|head| !head.is_empty());
    html! {
        div class="table" {
            table {
                @if headed {
                    thead {
                        tr {
                            @for (column, head) in table.heads.iter().enumerate() {
                                th class=[class(column)] { (inline(head)) }
                            }
                        }
                    }
                }
                tbody {
                    @for row in &table.rows {
                        tr class=[starts(table, row)] {
                            @for (column, cell) in row.iter().enumerate() {
                                td class=[class(column)] {
                                    @match tone(cell) {
                                        Some(tone) => span class=(tone) { (inline(&cell.text)) },
                                        None => (inline(&cell.text)),
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Rows whose first cell is empty belong to the row above.
fn starts(table: &Table, row: &[Cell]) -> Option<&'static str> {
    let grouped = table
        .rows
        .iter()
        .any(|row| row.first().is_some_and(|cell| cell.text.is_empty()));
    (grouped && row.first().is_some_and(|cell| !cell.text.is_empty())).then_some("starts")
}

fn tone(cell: &Cell) -> Option<&'static str> {
    match cell.tone {
        Tone::Plain => None,
        Tone::Good => Some("good"),
        Tone::Bad => Some("bad"),
        Tone::Quiet => Some("quiet"),
    }
}

fn picture(picture: &Figure) -> Markup {
    // The page's own colors, light or dark.
    let svg = picture
        .svg
        .replace(INK, "currentColor")
        .replace(PAPER, "none");
    html! {
        figure {
            div role="img" aria-label=(picture.alternative) { (PreEscaped(svg)) }
            figcaption { (inline(&picture.caption)) }
        }
    }
}

fn inline(text: &str) -> Markup {
    html! {
        @for (piece, is_code) in pieces(text) {
            @if is_code { code { (piece) } } @else { (emphasis(piece)) }
        }
    }
}

/// Text with `*emphasis*`.
fn emphasis(text: &str) -> Markup {
    html! {
        @for (index, piece) in text.split('*').enumerate() {
            @if index % 2 == 1 { em { (piece) } } @else { (piece) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Section;
    use super::*;

    #[test]
    fn texts_are_escaped_and_pictures_take_the_pages_colors() {
        let mut table = Table::new(1, ["what", "time"]);
        table
            .rows
            .push(vec![Cell::from("a < b"), Cell::new("1 ms", Tone::Bad)]);
        let figure = Figure {
            name: "picture".to_owned(),
            alternative: "curves \"of\" cost".to_owned(),
            caption: "Flat is good.".to_owned(),
            svg: format!("<svg><path fill=\"{INK}\"/></svg>"),
        };
        let section = Section::new("Part", vec![Block::Table(table), Block::Figure(figure)]);
        let page = page(&Document {
            title: "Costs & more".to_owned(),
            lead: vec![Block::Paragraph("An *operation* by `a<b>`.".to_owned())],
            sections: vec![section],
        });
        for part in [
            "<h1>Costs &amp; more</h1>",
            "An <em>operation</em> by <code>a&lt;b&gt;</code>.",
            "<td>a &lt; b</td><td class=\"figure\"><span class=\"bad\">1 ms</span></td>",
            "aria-label=\"curves &quot;of&quot; cost\"",
            "<path fill=\"currentColor\"/>",
            "<h2>Part</h2>",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        // Nothing is fetched from anywhere.
        for other in ["src=", "<link", "@import", "url("] {
            assert!(!page.contains(other), "{other} is in {page}");
        }
    }
}
