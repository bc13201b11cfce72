//! Every exporter of the lab with every importer, in every format that both claim: the route by which the
//! pixels come, and whether they are right. The table is kept in `docs/matrix.md`.
#![allow(missing_docs, clippy::unwrap_used)]

mod exporters;
mod importers;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::Write as _;

use dmashare::route::RoutePolicy;
use dmashare::{Extent, FormatInfo, Fourcc};
use exporters::Maker;
use importers::{Came, User, routes};
use support::displays;
use support::loopback::Loopback;

const EXTENT: Extent = Extent::new(640, 480);

/// Progress, and the table, on standard error.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// What became of the formats of a pair.
#[derive(Default)]
struct Cell {
    direct: Vec<Fourcc>,
    shadow: BTreeMap<String, Vec<Fourcc>>,
    refused: BTreeMap<String, Vec<Fourcc>>,
}

fn names(formats: &[Fourcc]) -> String {
    let names: Vec<String> = formats.iter().map(ToString::to_string).collect();
    names.join(" ")
}

impl Cell {
    fn row(&self, exporter: &str, importer: &str) -> String {
        let reasons = |map: &BTreeMap<String, Vec<Fourcc>>| {
            let texts = map.iter();
            let texts = texts.map(|(reason, formats)| format!("{}: {reason}", names(formats)));
            texts.collect::<Vec<_>>().join("; ")
        };
        format!(
            "| {exporter} | {importer} | {} | {} | {} |",
            names(&self.direct),
            reasons(&self.shadow),
            reasons(&self.refused)
        )
    }
}

/// The table that is kept in the docs, and whether it is this one.
fn compare(table: &str) {
    say(table);
    let kept = include_str!("../../../docs/matrix.md");
    assert!(
        kept.contains(table.trim()),
        "docs/matrix.md has another table than the one that this test has printed"
    );
}

#[test]
fn every_pair_shares_every_format_and_the_pixels_are_right() {
    let _displays = displays();
    let _cable = Loopback::new();
    let (makers, users) = (Maker::all(), User::all());
    let routes = routes();
    let mut table = String::from(
        "| exporter | importer | direct | shadow | refused |\n|---|---|---|---|---|\n",
    );
    for maker in &makers {
        for user in &users {
            say(&format!("{} to {}", maker.name(), user.name()));
            let mut cell = Cell::default();
            let extent = maker.extent(user.extent().unwrap_or(EXTENT));
            for format in FormatInfo::all().iter().map(|info| info.fourcc) {
                if !user.claims(format) {
                    continue;
                }
                let Some(made) = maker.make(format, extent) else {
                    continue;
                };
                match user.look(&made, &routes, RoutePolicy::Automatic) {
                    Came::Directly => cell.direct.push(format),
                    Came::ByShadow(reason) => cell.shadow.entry(reason).or_default().push(format),
                    Came::Not(reason) => cell.refused.entry(reason).or_default().push(format),
                }
            }
            table += &cell.row(&maker.name(), user.name());
            table.push('\n');
        }
    }
    compare(&table);
}
