//! Compares criterion's results: each operation through dmashare with the same operation written
//! directly, its floor. A bench is named `OPERATION/dmashare/SIZE` or `OPERATION/floor/SIZE`; those
//! that have no floor show how they grow.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::growth::{self, Growth};

/// A median with its confidence interval, in nanoseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Median {
    pub(crate) nanoseconds: f64,
    low: f64,
    high: f64,
}

/// One operation at one size.
#[derive(Debug, Clone, Serialize)]
struct Comparison {
    operation: String,
    size: String,
    dmashare: Option<Median>,
    floor: Option<Median>,
    ratio: Option<f64>,
    /// The ratio's interval when both medians are at opposite ends of theirs.
    ratio_low: Option<f64>,
    ratio_high: Option<f64>,
}

#[cfg(test)]
impl Median {
    pub(crate) fn exact(nanoseconds: f64) -> Self {
        let (low, high) = (nanoseconds, nanoseconds);
        Self {
            nanoseconds,
            low,
            high,
        }
    }
}

/// All that one run measured.
#[derive(Debug, Serialize)]
pub(crate) struct Ratios {
    comparisons: Vec<Comparison>,
    growths: Vec<Growth>,
}

#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
    confidence_interval: Interval,
}

#[derive(Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

/// Reads what criterion wrote below `folder` since `started`.
///
/// # Errors
/// When a result cannot be read.
pub(crate) fn read(folder: &Path, started: SystemTime) -> Result<Ratios> {
    let mut found = Vec::new();
    if folder.is_dir() {
        collect(folder, started, &mut found)?;
    }
    Ok(Ratios {
        growths: growth::of(&found),
        comparisons: compare(found),
    })
}

/// Adds the name and median of every result below `folder` that is new enough.
fn collect(folder: &Path, started: SystemTime, found: &mut Vec<(String, Median)>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        let estimates = path.join("estimates.json");
        let is_result = path.file_name().is_some_and(|name| name == "new") && estimates.is_file();
        if !is_result {
            collect(&path, started, found)?;
        } else if fs::metadata(&estimates)?.modified()? >= started {
            let benchmark: Benchmark = read_json(&path.join("benchmark.json"))?;
            let median = read_json::<Estimates>(&estimates)?.median;
            found.push((
                benchmark.full_id,
                Median {
                    nanoseconds: median.point_estimate,
                    low: median.confidence_interval.lower_bound,
                    high: median.confidence_interval.upper_bound,
                },
            ));
        }
    }
    Ok(())
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("cannot understand {}", path.display()))
}

/// Pairs what was measured by operation and size.
fn compare(found: Vec<(String, Median)>) -> Vec<Comparison> {
    let mut pairs: BTreeMap<(String, String), [Option<Median>; 2]> = BTreeMap::new();
    for (name, median) in found {
        let mut parts: Vec<&str> = name.split('/').collect();
        let Some(side) = parts
            .iter()
            .position(|part| matches!(*part, "dmashare" | "floor"))
        else {
            continue;
        };
        let is_floor = parts.get(side) == Some(&"floor");
        let size = parts.split_off(side).split_off(1).join("/");
        let pair = pairs.entry((parts.join("/"), size)).or_default();
        if let Some(place) = pair.get_mut(usize::from(is_floor)) {
            *place = Some(median);
        }
    }
    pairs
        .into_iter()
        .map(|((operation, size), [dmashare, floor])| {
            let both = dmashare.zip(floor);
            Comparison {
                operation,
                size,
                dmashare,
                floor,
                ratio: both.map(|(d, f)| d.nanoseconds / f.nanoseconds),
                ratio_low: both.map(|(d, f)| d.low / f.high),
                ratio_high: both.map(|(d, f)| d.high / f.low),
            }
        })
        .collect()
}

impl Ratios {
    /// Whether nothing was measured.
    pub(crate) fn is_empty(&self) -> bool {
        self.comparisons.is_empty() && self.growths.is_empty()
    }

    /// Tables for people.
    pub(crate) fn tables(&self) -> String {
        let tables = [self.table(), growth::table(&self.growths)];
        tables
            .into_iter()
            .filter(|table| !table.is_empty())
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn table(&self) -> String {
        if self.comparisons.is_empty() {
            return String::new();
        }
        let mut table = format!(
            "{:28} {:12} {:>12} {:>12}   ratio (95% interval)\n",
            "operation", "size", "dmashare", "floor"
        );
        for row in &self.comparisons {
            let ratio = match (row.ratio, row.ratio_low, row.ratio_high) {
                (Some(ratio), Some(low), Some(high)) => {
                    format!("{ratio:.3} ({low:.3} to {high:.3})")
                }
                _ => "-".to_owned(),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(
                table,
                "{:28} {:12} {:>12} {:>12}   {ratio}",
                row.operation,
                row.size,
                time(row.dmashare),
                time(row.floor),
            );
        }
        table
    }
}

/// A time with a unit that fits.
pub(crate) fn time(median: Option<Median>) -> String {
    match median.map(|median| median.nanoseconds) {
        None => "-".to_owned(),
        Some(ns) if ns < 1e3 => format!("{ns:.1} ns"),
        Some(ns) if ns < 1e6 => format!("{:.2} us", ns / 1e3),
        Some(ns) => format!("{:.2} ms", ns / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(folder: &Path, name: &str, nanoseconds: f64) {
        let new = folder.join(name.replace('/', "_")).join("new");
        fs::create_dir_all(&new).unwrap();
        fs::write(
            new.join("benchmark.json"),
            format!(r#"{{"full_id":"{name}"}}"#),
        )
        .unwrap();
        let (low, high) = (nanoseconds * 0.9, nanoseconds * 1.1);
        let estimates = format!(
            r#"{{"median":{{"point_estimate":{nanoseconds},"confidence_interval":
            {{"lower_bound":{low},"upper_bound":{high}}}}}}}"#
        );
        fs::write(new.join("estimates.json"), estimates).unwrap();
    }

    #[test]
    fn each_operation_is_compared_with_its_floor() {
        let folder = tempfile::tempdir().unwrap();
        result(folder.path(), "export/dmashare/1920x1080", 1500.0);
        result(folder.path(), "export/floor/1920x1080", 1000.0);
        result(folder.path(), "flip/dmashare/1024x768", 2e6);
        let ratios = read(folder.path(), SystemTime::UNIX_EPOCH).unwrap();
        let export = &ratios.comparisons[0];
        assert_eq!(export.ratio, Some(1.5));
        assert!((export.ratio_low.unwrap() - 1350.0 / 1100.0).abs() < 1e-9);
        assert!((export.ratio_high.unwrap() - 1650.0 / 900.0).abs() < 1e-9);
        assert_eq!(ratios.comparisons[1].ratio, None);
        let table = ratios.table();
        assert!(table.contains("1.500 (1.227 to 1.833)"), "{table}");
        assert!(table.contains("2.00 ms"), "{table}");
    }

    #[test]
    fn results_of_earlier_runs_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        result(folder.path(), "export/floor/1x1", 1.0);
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        assert!(read(folder.path(), later).unwrap().is_empty());
        assert!(read(&folder.path().join("none"), later).unwrap().is_empty());
    }
}
