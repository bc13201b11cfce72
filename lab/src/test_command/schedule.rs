//! Which job starts next on which processors.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

use crate::test_command::selection::Part;

/// Most jobs at once, unless more are asked for.
const MOST: usize = 8;
/// Memory that one guest is counted with: what it touches, with its processes and the host's share.
const MEMORY: u64 = 2 << 30;

/// One command that runs tests.
#[derive(Debug)]
pub(crate) struct Job {
    /// Its name in the output and the table.
    pub(crate) name: String,
    /// What fails when it fails.
    pub(crate) part: Part,
    /// How many processors it needs.
    pub(crate) processors: usize,
    /// How long it is expected to take.
    pub(crate) expected: Duration,
    /// The command.
    pub(crate) command: Command,
    /// Where the command writes what it measured.
    pub(crate) report: PathBuf,
}

impl Job {
    pub(crate) fn new(
        name: String,
        part: Part,
        processors: usize,
        command: Command,
        report: PathBuf,
    ) -> Self {
        Self {
            name,
            part,
            processors,
            expected: Duration::ZERO,
            command,
            report,
        }
    }
}

/// The host's processors, one for each job that runs at a time. A processor is in it twice if more
/// jobs are asked for than there are processors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slots(Vec<usize>);

impl Slots {
    /// As many as asked for; else one for each processor that this process may use, if there is
    /// memory for as many guests.
    ///
    /// # Errors
    /// When the kernel does not say which processors there are.
    pub(crate) fn choose(asked_for: Option<u32>) -> Result<Self> {
        let set = sched_getaffinity(Pid::from_raw(0)).context("cannot list the processors")?;
        let processors: Vec<usize> = (0..CpuSet::count())
            .filter(|n| set.is_set(*n).unwrap_or(false))
            .collect();
        let memory = available_memory().map_or(1, |bytes| bytes / MEMORY);
        let count = match asked_for {
            Some(count) => usize::try_from(count)?,
            None => processors
                .len()
                .min(usize::try_from(memory)?)
                .clamp(1, MOST),
        };
        Ok(Self(processors.into_iter().cycle().take(count).collect()))
    }

    /// How many jobs run at once.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

/// The memory that can be used without swapping, in bytes.
fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// The processors of a job that runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken(pub(crate) Vec<usize>);

/// The jobs that wait, and the processors that are free.
#[derive(Debug)]
pub(crate) struct Schedule {
    slots: usize,
    free: Vec<usize>,
    /// The next one last.
    waiting: Vec<Job>,
}

impl Schedule {
    /// Those that need most processors come first, each when so many are free; of equals, the one
    /// that takes longest, then the one that is listed first. So the last ones to end are short, and
    /// no processor waits for long.
    pub(crate) fn new(mut jobs: Vec<Job>, slots: &Slots) -> Self {
        let count = slots.count();
        jobs.reverse();
        jobs.sort_by_key(|job| (job.processors.min(count), job.expected));
        let mut free = slots.0.clone();
        // A job that is the only one runs alone.
        let used: usize = jobs.iter().map(|job| job.processors.clamp(1, count)).sum();
        free.truncate(used);
        Self {
            slots: free.len().max(1),
            free,
            waiting: jobs,
        }
    }

    /// The next job that the free processors suffice for, and those that it takes; all of them if it
    /// needs more than there are.
    pub(crate) fn start(&mut self) -> Option<(Job, Taken)> {
        let slots = self.slots;
        let needs = |job: &Job| job.processors.clamp(1, slots);
        let next = self
            .waiting
            .iter()
            .rposition(|job| needs(job) <= self.free.len())?;
        let job = self.waiting.remove(next);
        let taken = self.free.split_off(self.free.len() - needs(&job));
        Some((job, Taken(taken)))
    }

    /// A job has ended: its processors are free.
    pub(crate) fn ended(&mut self, taken: Taken) {
        self.free.extend(taken.0);
    }

    /// Whether a job that has taken these runs alone.
    pub(crate) fn runs_alone(&self, taken: &Taken) -> bool {
        taken.0.len() == self.slots
    }

    /// How many jobs wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What the jobs that wait are expected to take, all processors working.
    pub(crate) fn time_left(&self) -> Duration {
        let slots = u32::try_from(self.slots).unwrap_or(u32::MAX);
        let work = self.waiting.iter().map(|job| {
            let needs = job.processors.clamp(1, self.slots);
            job.expected * u32::try_from(needs).unwrap_or(1)
        });
        work.sum::<Duration>() / slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str, processors: usize, seconds: u64) -> Job {
        let command = Command::new("true");
        let mut job = Job::new(
            name.to_owned(),
            Part::InTheLab,
            processors,
            command,
            PathBuf::new(),
        );
        job.expected = Duration::from_secs(seconds);
        job
    }

    /// The order in which jobs start and end if each takes what is expected.
    fn simulate(jobs: Vec<Job>, slots: &[usize]) -> Vec<String> {
        let mut schedule = Schedule::new(jobs, &Slots(slots.to_vec()));
        let mut running: Vec<(Duration, String, Taken)> = Vec::new();
        let mut now = Duration::ZERO;
        let mut said = Vec::new();
        loop {
            while let Some((job, taken)) = schedule.start() {
                said.push(format!(
                    "{} on {:?} at {}",
                    job.name,
                    taken.0,
                    now.as_secs()
                ));
                running.push((now + job.expected, job.name, taken));
            }
            let mut processors: Vec<_> =
                running.iter().flat_map(|(_, _, taken)| &taken.0).collect();
            processors.sort_unstable();
            processors.dedup();
            let taken: usize = running.iter().map(|(_, _, taken)| taken.0.len()).sum();
            assert_eq!(
                processors.len(),
                taken,
                "no two on one processor: {running:?}"
            );
            let Some(first) = (0..running.len()).min_by_key(|n| running[*n].0) else {
                break;
            };
            let (at, _, taken) = running.remove(first);
            now = at;
            schedule.ended(taken);
        }
        assert_eq!(schedule.waiting(), 0);
        said
    }

    #[test]
    fn the_longest_starts_first_and_each_has_a_processor_of_its_own() {
        let jobs = vec![job("short", 1, 1), job("long", 1, 5), job("middle", 1, 3)];
        let said = simulate(jobs, &[4, 7]);
        assert_eq!(
            said,
            [
                "long on [7] at 0",
                "middle on [4] at 0",
                "short on [4] at 3"
            ]
        );
    }

    #[test]
    fn those_that_need_two_processors_run_alone_on_two() {
        let jobs = vec![
            job("one", 1, 9),
            job("pair", 2, 1),
            job("other", 1, 2),
            job("all", usize::MAX, 3),
        ];
        let said = simulate(jobs, &[0, 1]);
        assert_eq!(
            said,
            [
                "all on [0, 1] at 0",
                "pair on [0, 1] at 3",
                "one on [1] at 4",
                "other on [0] at 4"
            ]
        );
    }

    #[test]
    fn with_more_processors_others_run_beside_them() {
        let jobs = vec![job("one", 1, 9), job("pair", 2, 1), job("other", 2, 2)];
        let said = simulate(jobs, &[0, 1, 2]);
        assert_eq!(
            said,
            [
                "other on [1, 2] at 0",
                "one on [0] at 0",
                "pair on [1, 2] at 2"
            ]
        );
    }

    #[test]
    fn one_at_a_time_runs_everything() {
        let jobs = vec![
            job("one", 1, 1),
            job("pair", 2, 1),
            job("all", usize::MAX, 2),
        ];
        assert_eq!(
            simulate(jobs, &[3]),
            ["all on [3] at 0", "one on [3] at 2", "pair on [3] at 3"]
        );
    }

    #[test]
    fn the_only_job_runs_alone() {
        let slots = Slots(vec![0, 1]);
        let mut schedule = Schedule::new(vec![job("one", 1, 1)], &slots);
        let (_, taken) = schedule.start().unwrap();
        assert!(schedule.runs_alone(&taken));
        let jobs = vec![job("one", 1, 1), job("other", 1, 1)];
        let mut schedule = Schedule::new(jobs, &slots);
        let (_, taken) = schedule.start().unwrap();
        assert!(!schedule.runs_alone(&taken));
    }

    #[test]
    fn the_time_left_counts_every_processor() {
        let mut schedule = Schedule::new(
            vec![job("one", 1, 4), job("two", 1, 2), job("pair", 2, 5)],
            &Slots(vec![0, 1]),
        );
        assert_eq!(schedule.time_left(), Duration::from_secs(8));
        let (pair, taken) = schedule.start().unwrap();
        assert_eq!(pair.name, "pair");
        assert!(schedule.runs_alone(&taken));
        assert_eq!(schedule.time_left(), Duration::from_secs(3));
        assert!(schedule.start().is_none());
    }

    #[test]
    fn as_many_slots_as_asked_for() {
        assert_eq!(Slots::choose(Some(1)).unwrap().count(), 1);
        assert_eq!(Slots::choose(Some(64)).unwrap().count(), 64);
        assert!((1..=MOST).contains(&Slots::choose(None).unwrap().count()));
    }
}
