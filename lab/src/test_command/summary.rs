//! What a run of the tests has shown: what each executable took, what was left out, what failed.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::test_command::budget::Tier;
use crate::test_command::ignored::IgnoredTest;
use crate::test_command::running::Runs;
use crate::test_command::selection::Part;

/// The whole run; as JSON, what `--json` prints.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    /// Whether all is well.
    pub(crate) passed: bool,
    /// What failed, in words.
    failed: Vec<String>,
    tier: Tier,
    /// How many jobs ran at once.
    jobs: usize,
    /// The whole run's wall time, builds included.
    #[serde(serialize_with = "seconds", rename = "seconds")]
    wall: Duration,
    /// What the executables took together.
    #[serde(serialize_with = "seconds", rename = "processor_seconds")]
    processor_time: Duration,
    #[serde(serialize_with = "seconds", rename = "processor_seconds_allowed")]
    budget: Duration,
    /// Slowest first.
    executables: Vec<Row>,
}

/// One executable's line; the documentation tests are one.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    #[serde(serialize_with = "seconds", rename = "seconds")]
    wall: Duration,
    #[serde(serialize_with = "seconds", rename = "processor_seconds")]
    processor_time: Duration,
    status: i32,
    left_out: Vec<IgnoredTest>,
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

impl Summary {
    /// Judges the runs; `unbuilt` could not be built.
    pub(crate) fn new(
        tier: Tier,
        mut runs: Runs,
        unbuilt: Vec<Part>,
        jobs: usize,
        wall: Duration,
    ) -> Self {
        let mut failed: Vec<String> = Vec::new();
        for part in [Part::InTheLab, Part::EveryOrder, Part::OfTheLab] {
            let one_failed = runs.iter().any(|run| run.part == part && run.status != 0);
            if one_failed || unbuilt.contains(&part) {
                failed.push(part.to_string());
            }
        }
        for run in &runs {
            for ignored in run.ignored.iter().filter(|ignored| !ignored.is_long()) {
                failed.push(format!(
                    "{} ignores {} without a reason that begins with \"long: \"",
                    run.name, ignored.test
                ));
            }
            if run.processor_time > tier.of_one() {
                failed.push(format!(
                    "{} takes {} of processor time, more than {}",
                    run.name,
                    Seconds(run.processor_time),
                    Seconds(tier.of_one())
                ));
            }
        }
        let processor_time = runs.iter().map(|run| run.processor_time).sum();
        if processor_time > tier.total() {
            failed.push(format!(
                "all together take {} of processor time, more than {}",
                Seconds(processor_time),
                Seconds(tier.total())
            ));
        }
        runs.sort_by_key(|run| std::cmp::Reverse(run.wall));
        let executables = runs.into_iter().map(|run| Row {
            name: run.name,
            wall: run.wall,
            processor_time: run.processor_time,
            status: run.status,
            left_out: run.ignored,
        });
        Self {
            passed: failed.is_empty(),
            failed,
            tier,
            jobs,
            wall,
            processor_time,
            budget: tier.total(),
            executables: executables.collect(),
        }
    }
}

/// A duration as whole seconds.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} s", self.0.as_secs_f64())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nlab: test executables, slowest first")?;
        writeln!(f, "  seconds  processor seconds")?;
        for row in &self.executables {
            let verdict = match row.status {
                0 => "ok".to_owned(),
                status => format!("FAILED (exit status {status})"),
            };
            writeln!(
                f,
                "  {:7.1}  {:17.1}  {}  {verdict}",
                row.wall.as_secs_f64(),
                row.processor_time.as_secs_f64(),
                row.name
            )?;
        }
        let left_out: usize = self.executables.iter().map(|row| row.left_out.len()).sum();
        if left_out > 0 {
            writeln!(f, "lab: {left_out} tests left to `cargo lab test --long`:")?;
            for row in &self.executables {
                for ignored in &row.left_out {
                    writeln!(f, "  {} {} ({})", row.name, ignored.test, ignored.reason)?;
                }
            }
        }
        writeln!(
            f,
            "lab: {} in all, {} at once; {} of processor time, at most {} allowed",
            Seconds(self.wall),
            self.jobs,
            Seconds(self.processor_time),
            Seconds(self.budget)
        )?;
        if self.passed {
            writeln!(f, "lab: all tests passed")
        } else {
            writeln!(f, "lab: FAILED: {}", self.failed.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_command::running::Run;

    fn run(name: &str, part: Part, wall: u64, processor_time: u64, status: i32) -> Run {
        Run {
            name: name.to_owned(),
            part,
            wall: Duration::from_secs(wall),
            processor_time: Duration::from_secs(processor_time),
            status,
            ignored: Vec::new(),
        }
    }

    fn summary(runs: Runs, unbuilt: Vec<Part>) -> Summary {
        Summary::new(Tier::Change, runs, unbuilt, 2, Duration::from_secs(9))
    }

    #[test]
    fn the_slowest_comes_first_and_all_is_well() {
        let runs = vec![
            run("short", Part::InTheLab, 1, 1, 0),
            run("long", Part::OfTheLab, 5, 4, 0),
        ];
        let text = summary(runs, Vec::new()).to_string();
        let (long, short) = (text.find("long  ok"), text.find("short  ok"));
        assert!(long.is_some() && long < short, "{text}");
        assert!(
            text.contains("9 s in all, 2 at once; 5 s of processor time"),
            "{text}"
        );
        assert!(text.ends_with("lab: all tests passed\n"), "{text}");
    }

    #[test]
    fn what_failed_is_named_once() {
        let runs = vec![
            run("a", Part::InTheLab, 1, 1, 101),
            run("b", Part::InTheLab, 1, 1, 125),
            run("c", Part::OfTheLab, 1, 1, 0),
        ];
        let summary = summary(runs, vec![Part::EveryOrder]);
        assert!(!summary.passed);
        let text = summary.to_string();
        assert!(text.contains("a  FAILED (exit status 101)"), "{text}");
        let last = "lab: FAILED: the tests in the lab, the tests of threads in every order\n";
        assert!(text.ends_with(last), "{text}");
    }

    #[test]
    fn more_processor_time_than_the_budget_fails_however_long_it_took() {
        let one = Tier::Change.of_one().as_secs();
        let waited = run("waited", Part::InTheLab, 10 * one, one, 0);
        assert!(summary(vec![waited], Vec::new()).passed);
        let slow = run("slow", Part::InTheLab, 1, one + 1, 0);
        let text = summary(vec![slow], Vec::new()).to_string();
        assert!(text.contains("FAILED: slow takes"), "{text}");
        let runs = (0..=Tier::Change.total().as_secs() / one)
            .map(|_| run("one", Part::InTheLab, 1, one, 0))
            .collect();
        let text = summary(runs, Vec::new()).to_string();
        assert!(text.contains("FAILED: all together take"), "{text}");
    }

    #[test]
    fn tests_are_left_out_because_they_are_long_and_for_no_other_reason() {
        let mut left_out = run("evict", Part::InTheLab, 1, 1, 0);
        left_out.ignored.push(IgnoredTest {
            test: "big".to_owned(),
            reason: "long: 64 buffers".to_owned(),
        });
        let mut runs = vec![left_out];
        let first = summary(runs.clone(), Vec::new());
        assert!(first.passed);
        let text = first.to_string();
        assert!(
            text.contains("1 tests left to `cargo lab test --long`"),
            "{text}"
        );
        assert!(text.contains("evict big (long: 64 buffers)"), "{text}");
        runs[0].ignored[0].reason = "fails".to_owned();
        assert!(!summary(runs, Vec::new()).passed);
    }
}
