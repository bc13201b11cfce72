//! Runs jobs, several at once; shows the output of each whole, once it has ended.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sched::CpuSet;
use nix::sys::signal::Signal;

use crate::interrupt::Interrupted;
use crate::test_command::ignored::{self, IgnoredTest};
use crate::test_command::schedule::{Job, Schedule, Slots, Taken};
use crate::test_command::selection::Part;
use crate::test_command::status_line::StatusLine;
use crate::{inherited_child, one_processor, runner};

/// How often children are looked after.
const INTERVAL: Duration = Duration::from_millis(10);

/// What became of a job.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// The job's name.
    pub(crate) name: String,
    /// What fails when it fails.
    pub(crate) part: Part,
    /// Wall time, the guest's start and end included.
    pub(crate) wall: Duration,
    /// Processor time, user and system, of the guest or the host's processes.
    pub(crate) processor_time: Duration,
    /// Exit status.
    pub(crate) status: i32,
    /// The tests that it left out.
    pub(crate) ignored: Vec<IgnoredTest>,
}

/// What became of all jobs, in the order in which they ended.
pub(crate) type Runs = Vec<Run>;

/// A job that runs.
struct Running {
    job: Job,
    taken: Taken,
    child: Child,
    started: Instant,
    output: File,
    /// How much of the output has been shown.
    shown: u64,
    /// Nothing else runs, so the output is shown as it comes.
    alone: bool,
}

/// Runs every job, also when some fail. When `interrupted` says so, those that run are asked to end
/// and waited for.
///
/// # Errors
/// When a job cannot be started or its output not be shown, or we are interrupted. No child is left.
pub(crate) fn run(
    jobs: Vec<Job>,
    slots: &Slots,
    output: &mut dyn Write,
    interrupted: impl Fn() -> Result<(), Interrupted>,
) -> Result<Runs> {
    let mut schedule = Schedule::new(jobs, slots);
    let status_line = StatusLine::start(schedule.waiting());
    let mut running = Vec::new();
    let runs = run_all(
        &mut schedule,
        &mut running,
        &status_line,
        output,
        interrupted,
    );
    // Some are left if that failed.
    inherited_child::end(running.iter_mut().map(|running| &mut running.child));
    runs
}

fn run_all(
    schedule: &mut Schedule,
    running: &mut Vec<Running>,
    status_line: &StatusLine,
    output: &mut dyn Write,
    interrupted: impl Fn() -> Result<(), Interrupted>,
) -> Result<Runs> {
    let mut runs = Vec::new();
    loop {
        while let Some((job, taken)) = schedule.start() {
            let alone = schedule.runs_alone(&taken);
            let started = Running::start(job, taken, alone)?;
            if alone {
                status_line.hidden(|| write(output, started.title().as_bytes()))?;
            }
            running.push(started);
        }
        if running.is_empty() {
            return Ok(runs);
        }
        for mut job in running.extract_if(.., |job| !matches!(job.child.try_wait(), Ok(None))) {
            let status = job.child.wait().context("cannot wait for a job")?;
            let wall = job.started.elapsed();
            status_line.hidden(|| {
                if !job.alone {
                    write(output, job.title().as_bytes())?;
                }
                job.show(output)
            })?;
            runs.push(Run {
                ignored: ignored::listed_in(&job.all_output()?),
                processor_time: runner::processor_time(&job.job.report),
                name: job.job.name,
                part: job.job.part,
                wall,
                status: status.code().unwrap_or(1),
            });
            schedule.ended(job.taken);
        }
        for job in running.iter_mut().filter(|job| job.alone) {
            status_line.hidden(|| job.show(output))?;
        }
        let names = running.iter().map(|job| {
            (
                job.job.name.as_str(),
                job.started.elapsed(),
                job.job.expected,
            )
        });
        status_line.update(names, schedule);
        interrupted()?;
        std::thread::sleep(INTERVAL);
    }
}

impl Running {
    fn start(mut job: Job, taken: Taken, alone: bool) -> Result<Self> {
        let output = tempfile::tempfile().context("cannot make a file for a job's output")?;
        let copy = || output.try_clone().context("cannot duplicate a file");
        let processors = if alone { None } else { Some(set_of(&taken)?) };
        let parent = nix::unistd::getpid();
        job.command
            .stdin(Stdio::null())
            .stdout(copy()?)
            .stderr(copy()?)
            .process_group(0);
        // SAFETY: the closure runs between fork and exec and calls only prctl, getppid and
        // sched_setaffinity, which are async-signal-safe.
        unsafe {
            job.command.pre_exec(move || {
                // It cleans up even when this program is killed.
                nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
                if let Some(processors) = &processors {
                    let _ = one_processor::stay_on(processors);
                }
                if nix::unistd::getppid() == parent {
                    Ok(())
                } else {
                    Err(std::io::Error::other("the lab has ended"))
                }
            });
        }
        let child = job
            .command
            .spawn()
            .with_context(|| format!("cannot start {}", job.name))?;
        Ok(Self {
            job,
            taken,
            child,
            started: Instant::now(),
            output,
            shown: 0,
            alone,
        })
    }

    fn title(&self) -> String {
        format!("     Running {}\n", self.job.name)
    }

    /// Shows what has been written since the last call.
    fn show(&mut self, output: &mut dyn Write) -> Result<()> {
        let mut piece = vec![0; 1 << 16];
        loop {
            let length = self
                .output
                .read_at(&mut piece, self.shown)
                .context("cannot read a job's output")?;
            if length == 0 {
                return Ok(());
            }
            write(output, piece.get(..length).unwrap_or_default())?;
            self.shown += u64::try_from(length)?;
        }
    }

    fn all_output(&self) -> Result<String> {
        let mut bytes = vec![0; usize::try_from(self.shown)?];
        self.output
            .read_exact_at(&mut bytes, 0)
            .context("cannot read a job's output")?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn write(output: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    output
        .write_all(bytes)
        .and_then(|()| output.flush())
        .context("cannot show a job's output")
}

fn set_of(taken: &Taken) -> Result<CpuSet> {
    let mut processors = CpuSet::new();
    for processor in &taken.0 {
        processors.set(*processor).context("too many processors")?;
    }
    Ok(processors)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use nix::sys::signal::kill;
    use nix::unistd::Pid;

    use super::*;

    /// A job that runs a script.
    fn script(name: &str, folder: &Path, text: &str) -> Job {
        let mut command = Command::new("sh");
        command.current_dir(folder).args(["-c", text]);
        Job::new(
            name.to_owned(),
            Part::InTheLab,
            1,
            command,
            folder.join(name),
        )
    }

    #[test]
    fn two_run_at_once_on_processors_of_their_own_and_a_failure_stops_no_one() {
        let folder = tempfile::tempdir().unwrap();
        // Each waits for the other, and says where it may run.
        let meet = |own: &str, other: &str| {
            format!(
                "echo first {own}; touch {own}.here; until test -e {other}.here; do sleep 0.01; done; \
                 grep Cpus_allowed_list: /proc/self/status > {own}.processors; echo 1.5 > {own}; \
                 echo last {own}"
            )
        };
        let jobs = vec![
            script("a", folder.path(), &meet("a", "b")),
            script("b", folder.path(), &meet("b", "a")),
            script(
                "c",
                folder.path(),
                "echo test x ... ignored, long: y; exit 3",
            ),
        ];
        let slots = Slots::choose(Some(2)).unwrap();
        let mut shown = Vec::new();
        let mut runs = run(jobs, &slots, &mut shown, || Ok(())).unwrap();
        runs.sort_by(|one, other| one.name.cmp(&other.name));
        let statuses: Vec<_> = runs.iter().map(|run| run.status).collect();
        assert_eq!(statuses, [0, 0, 3]);
        assert_eq!(runs[0].processor_time, Duration::from_millis(1500));
        assert_eq!(runs[2].ignored[0].test, "x");
        let shown = String::from_utf8(shown).unwrap();
        for name in ["a", "b"] {
            let whole = format!("     Running {name}\nfirst {name}\nlast {name}\n");
            assert!(shown.contains(&whole), "{shown}");
        }
        let processors = ["a", "b"].map(|name| {
            let path = folder.path().join(format!("{name}.processors"));
            std::fs::read_to_string(path).unwrap()
        });
        if std::thread::available_parallelism().unwrap().get() > 1 {
            assert_ne!(processors[0], processors[1]);
        }
    }

    #[test]
    fn an_interrupt_ends_all_that_run_and_lets_them_clean_up() {
        let folder = tempfile::tempdir().unwrap();
        let sleep = |name: &str| {
            let text = format!(
                "trap 'touch {name}.cleaned; exit' TERM; echo $$ > {name}.process; \
                 while :; do sleep 0.01; done"
            );
            script(name, folder.path(), &text)
        };
        let jobs = vec![sleep("a"), sleep("b"), sleep("never")];
        let file = |name: &str| folder.path().join(name);
        let interrupted = || {
            let read = |name| std::fs::read_to_string(file(name)).unwrap_or_default();
            match ["a.process", "b.process"]
                .iter()
                .all(|name| read(name).ends_with('\n'))
            {
                true => Err(Interrupted(2)),
                false => Ok(()),
            }
        };
        let slots = Slots::choose(Some(2)).unwrap();
        let error = run(jobs, &slots, &mut Vec::new(), interrupted).unwrap_err();
        assert!(error.downcast_ref::<Interrupted>().is_some(), "{error}");
        for name in ["a", "b"] {
            assert!(file(&format!("{name}.cleaned")).exists(), "{name}");
            let process = std::fs::read_to_string(file(&format!("{name}.process"))).unwrap();
            let process = Pid::from_raw(process.trim().parse().unwrap());
            assert!(kill(process, None).is_err(), "{name} is still there");
        }
        assert!(!file("never.process").exists());
    }
}
