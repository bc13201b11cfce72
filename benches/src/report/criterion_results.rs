//! Reads what criterion and the benches have left in criterion's folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::data::amount;
use super::names::is_side;
use super::paired_ratio::paired_ratio;
use super::{Counted, Data, Estimate, Growth, Measured};
use crate::{Absence, PairedSamples, Results};

#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
}

#[derive(Deserialize)]
struct Estimates {
    median: Median,
}

#[derive(Deserialize)]
struct Median {
    point_estimate: f64,
    confidence_interval: Interval,
}

#[derive(Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

#[derive(Default, Deserialize)]
struct Counters {
    counters: Vec<Counted>,
}

impl Data {
    /// Reads what was measured since `since` and lies below criterion's folder `criterion`. Facts that
    /// are no measurements (the machine, what was counted, an idle buffer's memory) may be older.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(criterion: &Path, since: SystemTime) -> Result<Self> {
        let folder = Results::beside(criterion).folder().to_owned();
        let mut data = Self {
            machine: read_if_there(&folder.join("machine.json"))?,
            memory: read_if_there(&folder.join("memory.json"))?,
            threads: read_if_there(&folder.join("threads.json"))?,
            counters: read_if_there::<Counters>(&folder.join("counters.json"))?
                .unwrap_or_default()
                .counters,
            ..Self::default()
        };
        for estimates in newer(estimates_below(criterion)?, since)? {
            data.take(&estimates)?;
        }
        let mut pairs = Vec::new();
        for path in newer(json_files(&folder.join("pairs"))?, since)? {
            pairs.push(read_json::<PairedSamples>(&path)?);
        }
        // Both sides are measured beside each other; the library's own samples come first.
        pairs.sort_by_key(|pairs| pairs.by != "dmashare");
        for ratio in pairs.iter().filter_map(paired_ratio) {
            if data
                .ratio(&ratio.operation, &ratio.beside, &ratio.size)
                .is_none()
            {
                data.ratios.push(ratio);
            }
        }
        for path in newer(json_files(&folder.join("absent"))?, since)? {
            let absence = read_json::<Absence>(&path)?;
            // Noted also if nothing else of the operation was measured; and who was measured is there.
            let of_operation = |by: Option<&str>| {
                let mut all = data.measured.iter();
                all.any(|one| {
                    one.operation == absence.operation && by.is_none_or(|by| by == one.by)
                })
            };
            if of_operation(None) && !of_operation(Some(&absence.by)) {
                data.absences.push(absence);
            }
        }
        data.sort();
        Ok(data)
    }

    /// Takes one result of criterion's: `OPERATION/BY/SIZE`, or `BENCH/OPERATION/COUNT`.
    fn take(&mut self, estimates: &Path) -> Result<()> {
        let benchmark: Benchmark = read_json(&estimates.with_file_name("benchmark.json"))?;
        let median = read_json::<Estimates>(estimates)?.median;
        let time = Estimate {
            value: median.point_estimate,
            low: median.confidence_interval.lower_bound,
            high: median.confidence_interval.upper_bound,
        };
        let time = time.rounded();
        let parts: Vec<&str> = benchmark.full_id.split('/').collect();
        match parts[..] {
            [operation, by, size] if is_side(by) => self.measured.push(Measured {
                operation: operation.to_owned(),
                by: by.to_owned(),
                size: size.to_owned(),
                time,
            }),
            [bench, operation, count] => {
                // Any other name is a bench that the report knows nothing of.
                if let Ok(count) = count.parse() {
                    self.growths.push(Growth {
                        bench: bench.to_owned(),
                        operation: operation.to_owned(),
                        count,
                        time,
                    });
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Folders are listed in any order; a report is always the same.
    fn sort(&mut self) {
        let by_size = |size: &str| amount(size);
        self.measured.sort_by(|a, b| {
            let key = |one: &Measured| (one.operation.clone(), one.by.clone(), by_size(&one.size));
            key(a).cmp(&key(b))
        });
        self.ratios.sort_by_key(|one| {
            let operation = one.operation.clone();
            (operation, one.beside.clone(), by_size(&one.size))
        });
        self.absences
            .sort_by_key(|one| (one.operation.clone(), one.by.clone()));
        self.growths
            .sort_by_key(|one| (one.bench.clone(), one.operation.clone(), one.count));
    }
}

/// Every `new/estimates.json` below `folder`.
fn estimates_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in list(&folder)?.into_iter().filter(|path| path.is_dir()) {
            let estimates = path.join("estimates.json");
            if path.file_name().is_some_and(|name| name == "new") && estimates.is_file() {
                found.push(estimates);
            } else {
                folders.push(path);
            }
        }
    }
    Ok(found)
}

fn json_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = list(folder)?;
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "json")
    });
    Ok(paths)
}

/// What lies in `folder`; nothing if it is not there.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut paths = fs::read_dir(folder)
        .with_context(|| format!("cannot list {}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn newer(paths: Vec<PathBuf>, since: SystemTime) -> Result<Vec<PathBuf>> {
    let mut newer = Vec::new();
    for path in paths {
        if fs::metadata(&path)?.modified()? >= since {
            newer.push(path);
        }
    }
    Ok(newer)
}

fn read_if_there<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    path.is_file().then(|| read_json(path)).transpose()
}

/// Reads one file of JSON.
///
/// # Errors
/// When it cannot be read, or is something else.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("cannot understand {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn result(folder: &Path, name: &str, nanoseconds: f64) {
        let new = folder.join(name).join("new");
        fs::create_dir_all(&new).unwrap();
        let benchmark = format!(r#"{{"full_id":"{name}"}}"#);
        fs::write(new.join("benchmark.json"), benchmark).unwrap();
        let (low, high) = (nanoseconds * 0.9, nanoseconds * 1.1);
        let estimates = format!(
            r#"{{"median":{{"point_estimate":{nanoseconds},"confidence_interval":
            {{"lower_bound":{low},"upper_bound":{high}}}}}}}"#
        );
        fs::write(new.join("estimates.json"), estimates).unwrap();
    }

    fn everything(folder: &Path) {
        result(folder, "import/dmashare/1920x1080", 1500.0);
        result(folder, "import/floor/1920x1080", 1000.0);
        result(folder, "import/dmashare/256x256", 1400.0);
        result(folder, "contract/map_unmap/100000", 90.0);
        result(folder, "contract/map_unmap/100", 60.0);
        result(folder, "something/else", 1.0);
        let results = Results::beside(folder);
        let pairs = |by: &str, beside: &str, sample| PairedSamples {
            operation: "import".to_owned(),
            by: by.to_owned(),
            beside: beside.to_owned(),
            size: "1920x1080".to_owned(),
            samples: vec![sample; 3],
        };
        let beside_floor = pairs("dmashare", "floor", (1500.0, 1000.0));
        results.keep_pairs(&beside_floor).unwrap();
        results
            .keep_pairs(&pairs("floor", "dmashare", (1.0, 9.0)))
            .unwrap();
        for (operation, by) in [("import", "gbm"), ("import", "floor"), ("flip", "gbm")] {
            let absence = Absence {
                operation: operation.to_owned(),
                by: by.to_owned(),
                reason: "it is another thing".to_owned(),
            };
            results.keep_absence(&absence).unwrap();
        }
        let counters = r#"{"counters":[{"operation":"import","by":"floor","allocations":3}]}"#;
        fs::write(results.folder().join("counters.json"), counters).unwrap();
    }

    #[test]
    fn everything_is_found_and_sorted() {
        let folder = tempfile::tempdir().unwrap();
        everything(folder.path());
        let data = Data::read(folder.path(), SystemTime::UNIX_EPOCH).unwrap();
        let measured: Vec<_> = data
            .measured
            .iter()
            .map(|one| (&*one.by, &*one.size))
            .collect();
        let expected = [
            ("dmashare", "256x256"),
            ("dmashare", "1920x1080"),
            ("floor", "1920x1080"),
        ];
        assert_eq!(measured, expected);
        assert!((data.measured[2].time.low - 900.0).abs() < 1e-9);
        let counts: Vec<u64> = data
            .growth("contract", "map_unmap")
            .map(|one| one.count)
            .collect();
        assert_eq!((counts, data.growths.len()), (vec![100, 100_000], 2));
        // The library's own samples, not those of the floor.
        assert_eq!(data.ratios.len(), 1);
        assert!(
            (data
                .ratio("import", "floor", "1920x1080")
                .unwrap()
                .ratio
                .value
                - 1.5)
                .abs()
                < 1e-9
        );
        // The floor was measured, and nothing of the flip.
        let absences: Vec<_> = data.absences.iter().map(|one| &*one.by).collect();
        assert_eq!(absences, ["gbm"]);
        assert_eq!(data.counters[0].allocations, Some(3));
        assert_eq!(data.machine, None);
    }

    #[test]
    fn results_of_earlier_runs_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        everything(folder.path());
        let later = SystemTime::now() + Duration::from_secs(60);
        let data = Data::read(folder.path(), later).unwrap();
        assert!(data.is_empty() && data.ratios.is_empty() && data.absences.is_empty());
        assert_eq!(data.counters.len(), 1);
        assert!(
            Data::read(&folder.path().join("none"), later)
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn a_broken_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        result(folder.path(), "import/floor/1x1", 1.0);
        fs::write(
            folder.path().join("import/floor/1x1/new/estimates.json"),
            "{",
        )
        .unwrap();
        let error = Data::read(folder.path(), SystemTime::UNIX_EPOCH).unwrap_err();
        assert!(format!("{error:#}").contains("estimates.json"), "{error:#}");
    }
}
