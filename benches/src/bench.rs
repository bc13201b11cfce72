//! Both sides of an operation, measured in turns.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use criterion::{BenchmarkId, Criterion, SamplingMode};

use crate::{By, Machine, Operation, OperationKind, Size};

/// The main function of a bench: measures the operation at all its sizes, as criterion's group
/// `OPERATION` with the functions `dmashare` and `floor` and the size as parameter.
///
/// Without the devices that it takes, it says what is missing and fails.
pub fn bench(kind: OperationKind) -> ExitCode {
    exit_code(run(kind).with_context(|| format!("bench {kind}")))
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

fn run(kind: OperationKind) -> Result<()> {
    let machine = Machine::open()?;
    let sizes = kind.sizes(&machine)?;
    let _ = writeln!(
        std::io::stderr(),
        "bench {kind} on {}",
        machine.exporter().name()
    );
    let mut criterion = Criterion::default()
        .output_directory(&output_directory()?)
        .sample_size(40)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .nresamples(10_000)
        .without_plots()
        .configure_from_args();
    let mut group = criterion.benchmark_group(kind.to_string());
    // As many runs in each sample: one flip takes as long as the display's refresh.
    group.sampling_mode(SamplingMode::Flat);
    if kind == OperationKind::Flip {
        // Few fit into a second, and what a driver does besides a flip differs from one to the next.
        group.measurement_time(Duration::from_secs(6));
    }
    for size in sizes {
        // Opened when a name matches criterion's filter.
        let mut pair = None;
        for by in [By::Dmashare, By::Floor] {
            let mut result = Ok(());
            group.bench_function(BenchmarkId::new(by.to_string(), size), |bencher| {
                if let Err(error) = open_pair(&mut pair, kind, &machine, size) {
                    result = Err(error);
                }
                let runs_per_batch = kind.runs_per_batch();
                bencher.iter_custom(|times| {
                    // Criterion cannot be stopped, and refuses a time of 0.
                    let stopped = Duration::from_secs(1);
                    let (Ok(()), Some((dmashare, floor))) = (&result, &mut pair) else {
                        return stopped;
                    };
                    let taken = match by {
                        By::Dmashare => in_turns(dmashare, floor, times, runs_per_batch),
                        By::Floor => in_turns(floor, dmashare, times, runs_per_batch),
                    };
                    taken.unwrap_or_else(|error| {
                        result = Err(error);
                        stopped
                    })
                });
            });
            result.with_context(|| format!("{by} at {size}"))?;
        }
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

type Pair = (Box<dyn Operation>, Box<dyn Operation>);

fn open_pair(
    pair: &mut Option<Pair>,
    kind: OperationKind,
    machine: &Machine,
    size: Size,
) -> Result<()> {
    if pair.is_none() {
        // The floor first: it closes the GEM handles that it gets, and on one open card the library
        // gets the same ones for the same memory.
        let floor = kind.open(By::Floor, machine, size)?;
        let dmashare = kind.open(By::Dmashare, machine, size)?;
        *pair = Some((dmashare, floor));
    }
    Ok(())
}

/// Runs both sides `times` times, in batches and in turns, and returns what the runs of `measured`
/// took: whatever else happens on the machine, it happens to both. The median batch stands for all,
/// so that one that was interrupted does not count.
fn in_turns(
    measured: &mut Box<dyn Operation>,
    other: &mut Box<dyn Operation>,
    times: u64,
    runs_per_batch: usize,
) -> Result<Duration> {
    let mut left = usize::try_from(times)?;
    let mut seconds_per_run = Vec::new();
    while left > 0 {
        let runs = left.min(runs_per_batch);
        let measured_first = seconds_per_run.len() % 2 == 0;
        if !measured_first {
            batch(other, runs)?;
        }
        let taken = batch(measured, runs)?;
        if measured_first {
            batch(other, runs)?;
        }
        seconds_per_run.push(taken.as_secs_f64() / f64::from(u32::try_from(runs)?));
        left -= runs;
    }
    seconds_per_run.sort_by(f64::total_cmp);
    let middle = seconds_per_run.len() / 2;
    let median = seconds_per_run.get(middle).context("there was no run")?;
    let times = f64::from(u32::try_from(times)?);
    Ok(Duration::from_secs_f64(median * times))
}

fn batch(operation: &mut Box<dyn Operation>, runs: usize) -> Result<Duration> {
    operation.prepare(runs)?;
    let start = Instant::now();
    for _ in 0..runs {
        operation.run()?;
    }
    let taken = start.elapsed();
    operation.settle()?;
    Ok(taken)
}

/// `target/criterion`, also where there is no cargo to ask: the program is in `target/PROFILE/deps`.
fn output_directory() -> Result<PathBuf> {
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
        let mut sides = counts
            .each_ref()
            .map(|count| Box::new(Counted(count.clone())) as Box<dyn Operation>);
        let [measured, other] = &mut sides;
        let start = Instant::now();
        let taken = in_turns(measured, other, 7, 3).unwrap();
        let elapsed = start.elapsed();
        for count in &counts {
            let count = count.borrow();
            assert_eq!((count.prepared, count.run, count.settled), (7, 7, 3));
        }
        assert!(taken >= Duration::from_millis(7), "{taken:?}");
        // Six times 100 ms of waiting are not in it.
        assert!(
            taken + Duration::from_millis(600) <= elapsed,
            "{taken:?} of {elapsed:?}"
        );
    }
}
