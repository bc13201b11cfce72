//! Both sides of an operation, measured in turns.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode};

use crate::{
    Absence, By, Machine, MachineFacts, Opened, Operation, OperationKind, PairedSamples, Parameter,
    Results, Suite, other_process,
};

/// The main function of a bench: measures a suite's operations at all their sizes, each as criterion's
/// group `OPERATION` with a function for each side and the size as parameter. The library is measured in
/// turns with its floor, everyone else with the library; who cannot do it is noted with the reason.
///
/// Without the devices that it takes, it says what is missing and fails.
pub fn bench(suite: Suite) -> ExitCode {
    if let Some(served) = other_process::serve_if_asked() {
        return served;
    }
    exit_code(run(suite).with_context(|| format!("bench {suite}")))
}

/// The exit status of a program, after it said on its standard error what went wrong.
pub fn exit_code(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without a standard error, the exit status still says it.
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// How often a time is taken, and how often where one takes up to a second.
const SAMPLES: usize = 30;
const FEW_SAMPLES: usize = 10;

fn run(suite: Suite) -> Result<()> {
    let machine = Machine::open()?;
    let _ = writeln!(
        std::io::stderr(),
        "bench {suite} on {}",
        machine.exporter().name()
    );
    let output = output_directory()?;
    let results = Results::beside(&output);
    results.keep("machine.json", &MachineFacts::of(&machine)?)?;
    let mut criterion = Criterion::default()
        .output_directory(&output)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .nresamples(10_000)
        .without_plots()
        .configure_from_args();
    let kinds = OperationKind::all().iter().copied();
    let kinds = kinds.filter(|kind| kind.suite() == suite);
    for kind in kinds {
        measure(kind, &machine, &results, &mut criterion)
            .with_context(|| format!("operation {kind}"))?;
    }
    criterion.final_summary();
    Ok(())
}

fn measure(
    kind: OperationKind,
    machine: &Machine,
    results: &Results,
    criterion: &mut Criterion,
) -> Result<()> {
    let mut group = criterion.benchmark_group(kind.to_string());
    // As many runs in each sample: one flip takes as long as the display's refresh.
    group.sampling_mode(SamplingMode::Flat);
    if matches!(kind, OperationKind::Flip | OperationKind::HandoffDisplay) {
        // Few fit into a second, and what a driver does besides a flip differs from one to the next.
        group.measurement_time(Duration::from_secs(4));
    }
    let sizes = kind.sizes(machine)?;
    for &by in kind.sides() {
        if let Some(&size) = sizes.first()
            && let Ok(Opened::Absent(reason)) = kind.open(by, machine, size)
        {
            results.keep_absence(&Absence {
                operation: kind.to_string(),
                by: by.to_string(),
                reason,
            })?;
            continue;
        }
        results.forget_absence(&kind.to_string(), &by.to_string())?;
        for &size in &sizes {
            group.sample_size(if kind.makes_memory_of(size) {
                FEW_SAMPLES
            } else {
                SAMPLES
            });
            measure_at(kind, by, size, machine, results, &mut group)
                .with_context(|| format!("{by} at {size}"))?;
        }
    }
    group.finish();
    Ok(())
}

fn measure_at(
    kind: OperationKind,
    by: By,
    size: Parameter,
    machine: &Machine,
    results: &Results,
    group: &mut BenchmarkGroup<'_, WallTime>,
) -> Result<()> {
    let beside = if by == By::Dmashare {
        By::Floor
    } else {
        By::Dmashare
    };
    // Opened when a name matches criterion's filter.
    let mut sides: Option<Sides> = None;
    let mut result = Ok(());
    let mut samples = Vec::new();
    group.bench_function(BenchmarkId::new(by.to_string(), size), |bencher| {
        if sides.is_none() && result.is_ok() {
            match Sides::open(kind, [by, beside], machine, size) {
                Ok(opened) => sides = Some(opened),
                Err(error) => result = Err(error),
            }
        }
        bencher.iter_custom(|times| {
            let taken = match (&mut sides, &result) {
                (Some(sides), Ok(())) => sides.run(times, kind.runs_per_batch()),
                _ => return STOPPED,
            };
            match taken {
                Ok((taken, beside)) => {
                    samples.push((times, taken, beside));
                    whole(taken, times)
                }
                Err(error) => {
                    result = Err(error);
                    STOPPED
                }
            }
        });
    });
    result?;
    // Before the samples there was a warm-up, with other numbers of runs.
    let last = samples.last().map(|(times, ..)| *times);
    let samples: Vec<_> = samples
        .into_iter()
        .rev()
        .take_while(|(times, ..)| Some(*times) == last)
        .filter_map(|(_, taken, beside)| Some((taken * 1e9, beside? * 1e9)))
        .collect();
    if !samples.is_empty() {
        results.keep_pairs(&PairedSamples {
            operation: kind.to_string(),
            by: by.to_string(),
            beside: beside.to_string(),
            size: size.to_string(),
            samples,
        })?;
    }
    Ok(())
}

/// What criterion is told when nothing was measured: it cannot be stopped, and refuses a time of 0.
const STOPPED: Duration = Duration::from_secs(1);

#[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^53 runs")]
fn whole(seconds: f64, times: u64) -> Duration {
    Duration::from_secs_f64(seconds * times as f64)
}

/// Who is measured, and who runs in turns with it, if there is anybody.
struct Sides {
    measured: Box<dyn Operation>,
    beside: Option<Box<dyn Operation>>,
}

impl Sides {
    fn open(
        kind: OperationKind,
        [by, beside]: [By; 2],
        machine: &Machine,
        size: Parameter,
    ) -> Result<Self> {
        let open = |by| kind.open(by, machine, size);
        // The library last: the others close the GEM handles that they get, and on one open card the
        // library gets the same ones for the same memory.
        let (measured, beside) = if by == By::Dmashare {
            let beside = open(beside)?;
            (open(by)?, beside)
        } else {
            (open(by)?, open(beside)?)
        };
        Ok(Self {
            measured: measured.into_operation()?,
            beside: match beside {
                Opened::Ready(operation) => Some(operation),
                Opened::Absent(_) => None,
            },
        })
    }

    /// Seconds that one run took of who is measured, and of the other.
    fn run(&mut self, times: u64, runs_per_batch: usize) -> Result<(f64, Option<f64>)> {
        let beside = self.beside.as_mut();
        let beside = beside.map(|beside| beside.as_mut() as &mut dyn Operation);
        in_turns(self.measured.as_mut(), beside, times, runs_per_batch)
    }
}

/// Runs both sides `times` times, in batches and in turns, and returns the seconds that a run of each
/// took: whatever else happens on the machine, it happens to both. The median batch stands for all,
/// so that one that was interrupted does not count.
fn in_turns(
    measured: &mut dyn Operation,
    mut beside: Option<&mut dyn Operation>,
    times: u64,
    runs_per_batch: usize,
) -> Result<(f64, Option<f64>)> {
    let times = usize::try_from(times)?;
    // Whoever is first in a turn may find the machine in another state, such as a display with nothing
    // left to let go of. So each is first as often as the other; an odd single run gets one more.
    let turns = times.div_ceil(runs_per_batch).next_multiple_of(2);
    let (mut of_measured, mut of_beside) = (Vec::new(), Vec::new());
    for turn in 0..turns {
        let runs = ((times + turn) / turns).max(1);
        let measured_first = turn % 2 == 0;
        if measured_first {
            of_measured.push(batch(measured, runs)?);
        }
        if let Some(beside) = &mut beside {
            of_beside.push(batch(*beside, runs)?);
        }
        if !measured_first {
            of_measured.push(batch(measured, runs)?);
        }
    }
    let taken = median(of_measured).context("there was no run")?;
    Ok((taken, median(of_beside)))
}

fn median(mut seconds: Vec<f64>) -> Option<f64> {
    seconds.sort_by(f64::total_cmp);
    let upper = seconds.get(seconds.len() / 2)?;
    let lower = seconds.get((seconds.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// Seconds that one of `runs` runs took.
fn batch(operation: &mut dyn Operation, runs: usize) -> Result<f64> {
    operation.prepare(runs)?;
    let start = Instant::now();
    for _ in 0..runs {
        operation.run()?;
    }
    let taken = start.elapsed();
    operation.settle()?;
    Ok(taken.as_secs_f64() / f64::from(u32::try_from(runs)?))
}

/// Where criterion writes: `CRITERION_HOME`, or `target/criterion`, also where there is no cargo to ask,
/// for a bench is in `target/PROFILE/deps`.
///
/// # Errors
/// The program is nowhere near such a folder.
pub fn output_directory() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("CRITERION_HOME") {
        return Ok(home.into());
    }
    let program = std::env::current_exe().context("the program has no path")?;
    let target = program.ancestors().nth(3);
    Ok(target
        .context("the program is in no target folder")?
        .join("criterion"))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[derive(Default)]
    struct Counting {
        prepared: usize,
        run: usize,
        settled: usize,
    }

    struct Counted(Rc<RefCell<Counting>>);

    impl Operation for Counted {
        fn prepare(&mut self, times: usize) -> Result<()> {
            self.0.borrow_mut().prepared += times;
            Ok(())
        }

        fn run(&mut self) -> Result<()> {
            self.0.borrow_mut().run += 1;
            std::thread::sleep(Duration::from_millis(1));
            Ok(())
        }

        fn settle(&mut self) -> Result<()> {
            self.0.borrow_mut().settled += 1;
            std::thread::sleep(Duration::from_millis(100));
            Ok(())
        }
    }

    #[test]
    fn both_sides_run_as_often_and_only_runs_of_one_are_timed() {
        let counts: [Rc<RefCell<Counting>>; 2] = Default::default();
        let [mut measured, mut beside] = counts.each_ref().map(|count| Counted(count.clone()));
        let start = Instant::now();
        let (taken, of_beside) = in_turns(&mut measured, Some(&mut beside), 7, 3).unwrap();
        let elapsed = start.elapsed();
        for count in &counts {
            let count = count.borrow();
            assert_eq!((count.prepared, count.run, count.settled), (7, 7, 4));
        }
        let of_beside = of_beside.unwrap();
        assert!(taken >= 1e-3 && of_beside >= 1e-3, "{taken} {of_beside}");
        // Eight times 100 ms of waiting are not in it.
        let timed = Duration::from_secs_f64(7.0 * (taken + of_beside));
        assert!(timed < elapsed, "{timed:?} of {elapsed:?}");
        assert!(elapsed >= Duration::from_millis(800));
    }

    /// Five runs would make one side first three times, and the medians those of different positions.
    #[test]
    fn each_side_is_first_as_often() {
        struct Noting(&'static str, Rc<RefCell<Vec<&'static str>>>);
        impl Operation for Noting {
            fn run(&mut self) -> Result<()> {
                self.1.borrow_mut().push(self.0);
                Ok(())
            }
        }
        for times in [1, 2, 5, 8] {
            let order = Rc::default();
            let mut measured = Noting("measured", Rc::clone(&order));
            let mut beside = Noting("beside", Rc::clone(&order));
            in_turns(&mut measured, Some(&mut beside), times, 1).unwrap();
            let order = order.borrow();
            let first = order.chunks(2).filter(|turn| turn[0] == "measured").count();
            assert_eq!(order.len(), first * 4, "{times}: {order:?}");
        }
    }
}
