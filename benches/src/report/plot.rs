//! Curves with logarithmic axes, as SVG.
//!
//! Colors are those of Okabe and Ito, which differ also for the color-blind, and each curve has its own
//! mark. Text and lines are dark on white; a page with another background replaces [`INK`] and [`PAPER`].

use std::fmt;

use anyhow::{Result, anyhow};
use plotters::coord::{CoordTranslate, Shift};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// The color of text and axes.
const INK_COLOR: RGBColor = RGBColor(0x1C, 0x21, 0x28);
/// The same, as it is in the SVG.
pub(super) const INK: &str = "#1C2128";
/// The color behind everything.
const PAPER_COLOR: RGBColor = RGBColor(0xFE, 0xFE, 0xFE);
/// The same, as it is in the SVG.
pub(super) const PAPER: &str = "#FEFEFE";

const COLORS: [RGBColor; 7] = [
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0x7F, 0x7F, 0x7F),
];

const FONT: &str = "sans-serif";
const WIDTH: u32 = 860;
const HEIGHT: u32 = 420;
const LEGEND: u32 = 230;
/// From one line of the legend to the next.
const LEGEND_LINE: i32 = 26;

/// One curve.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Curve {
    /// What it is, for the legend.
    pub(super) label: String,
    /// Its points; all coordinates are above 0.
    pub(super) points: Vec<(f64, f64)>,
}

/// A picture with curves.
pub(super) struct Plot<'a> {
    /// What lies to the right, with its unit.
    pub(super) x_label: &'a str,
    /// What lies above, with its unit.
    pub(super) y_label: &'a str,
    /// Where the axis below is labelled, and with what.
    pub(super) x_ticks: Vec<(f64, String)>,
    /// How the other axis is labelled.
    pub(super) y_format: fn(f64) -> String,
    /// What is drawn.
    pub(super) curves: Vec<Curve>,
}

impl Plot<'_> {
    /// Draws it.
    ///
    /// # Errors
    /// When there is no point.
    pub(super) fn svg(&self) -> Result<String> {
        let mut svg = String::new();
        let drawn = self.draw(&mut svg);
        drawn.map_err(|error| anyhow!("cannot draw: {error}"))?;
        Ok(svg)
    }

    fn draw(&self, svg: &mut String) -> Result<(), String> {
        let all = || self.curves.iter().flat_map(|curve| &curve.points);
        let ticks = self.x_ticks.iter().map(|(x, _)| *x);
        let (left, right) = bounds(all().map(|(x, _)| *x).chain(ticks)).ok_or("nothing")?;
        let (lowest, highest) = bounds(all().map(|(_, y)| *y)).ok_or("nothing")?;
        let (y_ticks, bottom, top) = decades(lowest, highest);
        let x_axis = (left / 1.3..right * 1.3).log_scale();
        let x_axis = x_axis.with_key_points(self.x_ticks.iter().map(|(x, _)| *x).collect());
        let y_axis = (bottom..top).log_scale().with_key_points(y_ticks);

        let root = SVGBackend::with_string(svg, (WIDTH, HEIGHT)).into_drawing_area();
        root.fill(&PAPER_COLOR).map_err(text)?;
        let (chart_area, legend) = root.split_horizontally(WIDTH - LEGEND);
        let mut chart = ChartBuilder::on(&chart_area)
            .margin(12)
            .x_label_area_size(48)
            .y_label_area_size(76)
            .build_cartesian_2d(x_axis, y_axis)
            .map_err(text)?;
        let label = |x: &f64| {
            let mut ticks = self.x_ticks.iter();
            let tick = ticks.find(|(tick, _)| (tick / x - 1.0).abs() < 1e-9);
            tick.map_or_else(String::new, |(_, label)| label.clone())
        };
        let font = (FONT, 14).into_font().color(&INK_COLOR);
        chart
            .configure_mesh()
            .bold_line_style(INK_COLOR.mix(0.15))
            .light_line_style(TRANSPARENT)
            .axis_style(INK_COLOR.mix(0.6))
            .label_style(font.clone())
            .axis_desc_style((FONT, 15).into_font().color(&INK_COLOR))
            .x_desc(self.x_label)
            .y_desc(self.y_label)
            .x_label_formatter(&label)
            .y_label_formatter(&|y| (self.y_format)(*y))
            .draw()
            .map_err(text)?;
        for (index, curve) in self.curves.iter().enumerate() {
            let line = color(index).stroke_width(2);
            let points = curve.points.iter().copied();
            chart
                .draw_series(LineSeries::new(points, line))
                .map_err(text)?;
            for point in &curve.points {
                draw_mark(chart.plotting_area(), index, *point)?;
            }
        }
        self.draw_legend(&legend)?;
        root.present().map_err(text)
    }

    /// The curves' names, the highest curve's first.
    fn draw_legend(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), String> {
        let end = |curve: &Curve| curve.points.last().map_or(0.0, |(_, y)| *y);
        let mut curves: Vec<(usize, &Curve)> = self.curves.iter().enumerate().collect();
        curves.sort_by(|a, b| end(b.1).total_cmp(&end(a.1)));
        let font = (FONT, 14).into_font().color(&INK_COLOR);
        let font = font.pos(Pos::new(HPos::Left, VPos::Center));
        let mut y = 30;
        for (index, curve) in curves {
            let line = color(index).stroke_width(2);
            let path = PathElement::new([(0, y), (28, y)], line);
            area.draw(&path).map_err(text)?;
            draw_mark(area, index, (14, y))?;
            let label = Text::new(curve.label.clone(), (36, y), font.clone());
            area.draw(&label).map_err(text)?;
            y += LEGEND_LINE;
        }
        Ok(())
    }
}

fn text(error: impl fmt::Display) -> String {
    error.to_string()
}

fn color(index: usize) -> RGBColor {
    let color = COLORS.get(index % COLORS.len());
    color.copied().unwrap_or(INK_COLOR)
}

/// Draws a point of a curve: each curve has marks of its own.
fn draw_mark<C>(
    area: &DrawingArea<SVGBackend<'_>, C>,
    index: usize,
    at: C::From,
) -> Result<(), String>
where
    C: CoordTranslate,
    C::From: Clone + 'static,
{
    let (filled, line) = (color(index).filled(), color(index).stroke_width(3));
    match index % 4 {
        0 => area.draw(&Circle::new(at, 5, filled)),
        1 => area.draw(&TriangleMarker::new(at, 7, filled)),
        2 => area.draw(&Cross::new(at, 5, line)),
        _ => area.draw(&Circle::new(at, 6, line)),
    }
    .map_err(text)
}

fn bounds(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |bounds, value| match bounds {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}

/// Labels of an axis from `lowest` to `highest`, and its ends: powers of ten, and what lies between them
/// if there are few.
fn decades(lowest: f64, highest: f64) -> (Vec<f64>, f64, f64) {
    let (bottom, top) = (lowest / 1.4, highest * 1.4);
    let steps: &[f64] = match (top / bottom).log10() {
        decades if decades > 3.0 => &[1.0],
        decades if decades > 0.8 => &[1.0, 2.0, 5.0],
        _ => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
    };
    let mut ticks = Vec::new();
    let mut power = 10_f64.powf(bottom.log10().floor());
    while power <= top {
        let within = |tick: &f64| (bottom..=top).contains(tick);
        ticks.extend(steps.iter().map(|step| step * power).filter(within));
        power *= 10.0;
    }
    (ticks, bottom, top)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(curves: Vec<Curve>) -> Plot<'static> {
        Plot {
            x_label: "buffers",
            y_label: "time & place",
            x_ticks: vec![(100.0, "100".to_owned()), (1000.0, "a thousand".to_owned())],
            y_format: |y| format!("{y:.0} ns"),
            curves,
        }
    }

    #[test]
    fn curves_labels_and_units_are_drawn() {
        let curve = |label: &str, height| Curve {
            label: label.to_owned(),
            points: vec![(100.0, height), (1000.0, height * 2.0)],
        };
        let svg = plot(vec![curve("low", 10.0), curve("high", 300.0)])
            .svg()
            .unwrap();
        for text in [
            "a thousand",
            "time &amp; place",
            "100 ns",
            "low",
            "high",
            INK,
            PAPER,
        ] {
            assert!(svg.contains(text), "{text} is not in {svg}");
        }
        assert!(svg.trim_end().ends_with("</svg>"), "{svg}");
        // The highest curve is named first.
        assert!(svg.find("\nhigh\n") < svg.find("\nlow\n"), "{svg}");
        assert!(svg.find("\nlow\n").is_some(), "{svg}");
    }

    #[test]
    fn nothing_cannot_be_drawn() {
        assert!(plot(Vec::new()).svg().is_err());
    }

    #[test]
    fn an_axis_has_a_few_labels() {
        for (lowest, highest) in [
            (60.0, 70.0),
            (60.0, 900.0),
            (1e2, 1e5),
            (1e2, 1e8),
            (5.0, 5.0),
        ] {
            let (ticks, bottom, top) = decades(lowest, highest);
            assert!(bottom < lowest && highest < top);
            assert!(
                (1..=11).contains(&ticks.len()),
                "{lowest} to {highest}: {ticks:?}"
            );
        }
    }
}
