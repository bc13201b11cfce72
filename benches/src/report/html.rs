//! The report as one page of HTML, which needs no other file.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use super::Report;
use super::plot::{INK, PAPER};

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub fn page(report: &Report) -> String {
    let events: Vec<Event<'_>> = Parser::new_ext(&report.text, Options::ENABLE_TABLES).collect();
    let titles = |level| titles(&events, level);
    let title = titles(HeadingLevel::H1).concat();
    let title = written([Event::Text(title.into())]);
    let mut parts = 0;
    let mut body = Vec::new();
    for event in &events {
        match event {
            Event::Start(Tag::Heading {
                level: HeadingLevel::H2,
                ..
            }) => {
                if parts == 0 {
                    body.extend(contents(&titles(HeadingLevel::H2)));
                }
                body.push(markup(format!("<h2 id=\"part-{parts}\">")));
                parts += 1;
            }
            Event::Start(Tag::Table(_)) => {
                body.extend([markup("<div class=\"table\">"), event.clone()]);
            }
            Event::End(TagEnd::Table) => body.extend([event.clone(), markup("</div>")]),
            // What the picture shows is text for those who do not see it.
            Event::Start(Tag::Image { dest_url, .. }) => {
                let svg = svg(report, dest_url);
                body.push(markup(format!(
                    "<span class=\"picture\">{svg}<span class=\"alternative\">"
                )));
            }
            Event::End(TagEnd::Image) => body.push(markup("</span></span>")),
            other => body.push(other.clone()),
        }
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{}</main>\n</body>\n</html>\n",
        written(body)
    )
}

/// Links to the parts.
fn contents<'a>(titles: &[String]) -> Vec<Event<'a>> {
    let links = titles.iter().enumerate().flat_map(|(index, title)| {
        let link = markup(format!("<a href=\"#part-{index}\">"));
        [link, Event::Text(title.clone().into()), markup("</a>\n")]
    });
    let mut nav = vec![markup("<nav>\n")];
    nav.extend(links);
    nav.push(markup("</nav>\n"));
    nav
}

/// The headings of a level.
fn titles(events: &[Event<'_>], wanted: HeadingLevel) -> Vec<String> {
    let headings = events.split(|event| matches!(event, Event::End(TagEnd::Heading(_))));
    let headings = headings.filter_map(|events| {
        let is_start = |event: &Event<'_>| {
            matches!(event, Event::Start(Tag::Heading { level, .. }) if *level == wanted)
        };
        let start = events.iter().position(is_start)?;
        let texts = events[start..].iter().filter_map(|event| match event {
            Event::Text(text) | Event::Code(text) => Some(&**text),
            _ => None,
        });
        Some(texts.collect())
    });
    headings.collect()
}

/// The picture of this file, in the page's own colors, light or dark.
fn svg(report: &Report, file: &str) -> String {
    let mut pictures = report.pictures.iter();
    let picture = pictures.find(|picture| file.strip_suffix(".svg") == Some(&*picture.name));
    let svg = picture.map_or("", |picture| &*picture.svg);
    svg.replace(INK, "currentColor").replace(PAPER, "none")
}

fn markup<'a>(text: impl Into<String>) -> Event<'a> {
    Event::InlineHtml(text.into().into())
}

fn written<'a>(events: impl IntoIterator<Item = Event<'a>>) -> String {
    let mut text = String::new();
    html::push_html(&mut text, events.into_iter());
    text
}

#[cfg(test)]
mod tests {
    use super::super::Picture;
    use super::super::markdown::{Table, bad};
    use super::*;

    #[test]
    fn texts_are_escaped_and_pictures_take_the_pages_colors() {
        let mut table = Table::new(1, ["what", "time"]);
        table.push(["a < b".to_owned(), bad("1 ms")]);
        let mut report = Report::new("Costs & more");
        report.paragraph("An *operation* by `a<b>`.");
        report.section("Part");
        report.table(&table);
        report.picture(Picture {
            name: "picture".to_owned(),
            alternative: "curves \"of\" cost".to_owned(),
            caption: "Flat is good.".to_owned(),
            svg: format!("<svg><path fill=\"{INK}\"/></svg>"),
        });
        let page = page(&report);
        for part in [
            "<title>Costs &amp; more</title>",
            "<h1>Costs &amp; more</h1>",
            "<a href=\"#part-0\">Part</a>",
            "An <em>operation</em> by <code>a&lt;b&gt;</code>.",
            "<td>a &lt; b</td><td style=\"text-align: right\"><strong>1 ms</strong></td>",
            "<span class=\"alternative\">curves \"of\" cost</span>",
            "<path fill=\"currentColor\"/>",
            "<h2 id=\"part-0\">Part</h2>",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        // Nothing is fetched from anywhere.
        for other in ["src=", "<link", "@import", "url("] {
            assert!(!page.contains(other), "{other} is in {page}");
        }
    }
}
