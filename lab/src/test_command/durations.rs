//! How long each job took the last time, kept in the target folder: the longest start first.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::test_command::running::Run;

/// What a job is expected to take of which nothing is known.
const UNKNOWN: Duration = Duration::from_secs(10);

/// Seconds by the job's name.
#[derive(Debug, Default)]
pub(crate) struct Durations(BTreeMap<String, f64>);

impl Durations {
    /// Those of an earlier run; none if there was none.
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read(path).unwrap_or_default();
        Self(serde_json::from_slice(&text).unwrap_or_default())
    }

    /// What a job is expected to take.
    pub(crate) fn of(&self, name: &str) -> Duration {
        let seconds = self.0.get(name).copied();
        let known = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        known.unwrap_or(UNKNOWN)
    }

    /// Remembers these runs; one that failed may have ended early.
    pub(crate) fn remember(&mut self, runs: &[Run]) {
        let passed = runs.iter().filter(|run| run.status == 0);
        self.0
            .extend(passed.map(|run| (run.name.clone(), run.wall.as_secs_f64())));
    }

    /// Keeps them for the next run.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let written = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(path, serde_json::to_vec(&self.0)?));
        written.with_context(|| format!("cannot write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_command::selection::Part;

    fn run(name: &str, seconds: u64, status: i32) -> Run {
        Run {
            name: name.to_owned(),
            part: Part::InTheLab,
            wall: Duration::from_secs(seconds),
            processor_time: Duration::ZERO,
            status,
            ignored: Vec::new(),
        }
    }

    #[test]
    fn what_passed_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lab/durations.json");
        let mut durations = Durations::read(&path);
        assert_eq!(durations.of("a"), UNKNOWN);
        durations.remember(&[run("a", 3, 0), run("b", 4, 101)]);
        durations.write(&path).unwrap();
        let again = Durations::read(&path);
        assert_eq!(again.of("a"), Duration::from_secs(3));
        assert_eq!(again.of("b"), UNKNOWN);
    }
}
