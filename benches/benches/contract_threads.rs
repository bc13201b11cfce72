//! `cargo bench -p dmashare-bench --bench contract_threads`: what the contract costs when several threads
//! do the same at the same time; see [`dmashare_bench::contract`].
#![allow(
    missing_docs,
    reason = "criterion's macros make undocumented functions"
)]

use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use dmashare_bench::contract::{Buffers, OPERATIONS, Operation, configuration};
use dmashare_bench::report::ThreadsRanOn;
use dmashare_bench::{Results, output_directory};

const THREADS: [usize; 3] = [1, 2, 4];
/// As many buffers do the threads have together.
const OF_THREADS: usize = 1_000;

/// Notes how many processors there are for the threads.
fn note_processors() -> Result<()> {
    let processors = std::thread::available_parallelism()?.get();
    let processors = u64::try_from(processors)?;
    Results::beside(&output_directory()?).keep("threads.json", &ThreadsRanOn { processors })
}

/// What an operation takes when several threads do it at the same time, each with buffers of its own.
fn contract_threads(criterion: &mut Criterion) {
    note_processors().unwrap_or_else(|error| panic!("{error:#}"));
    for (name, operation) in OPERATIONS {
        let mut group = criterion.benchmark_group(format!("contract_threads/{name}"));
        for threads in THREADS {
            let mut opened = None;
            group.bench_function(BenchmarkId::from_parameter(threads), |bencher| {
                let (buffers, _) = opened
                    .get_or_insert_with(|| Buffers::with_walk(Buffers::in_memory, OF_THREADS));
                bencher.iter_custom(|times| {
                    at_the_same_time(buffers, threads, times, operation)
                        .unwrap_or_else(|error| panic!("{error:#}"))
                });
            });
        }
        group.finish();
    }
}

/// What the slowest thread took for its `times` runs.
fn at_the_same_time(
    buffers: &Buffers,
    threads: usize,
    times: u64,
    operation: Operation,
) -> Result<Duration> {
    let all_there = Barrier::new(threads);
    let taken: Vec<Result<Duration>> = std::thread::scope(|scope| {
        let running: Vec<_> = buffers
            .walks(threads)
            .map(|mut walk| {
                let all_there = &all_there;
                scope.spawn(move || {
                    all_there.wait();
                    let start = Instant::now();
                    for _ in 0..times {
                        operation(buffers, &mut walk)?;
                    }
                    Ok(start.elapsed())
                })
            })
            .collect();
        let joined = running.into_iter().map(|thread| {
            let panicked = |_| Err(anyhow::Error::msg("a thread panicked"));
            thread.join().unwrap_or_else(panicked)
        });
        joined.collect()
    });
    let taken = taken.into_iter().collect::<Result<Vec<_>>>()?;
    taken.into_iter().max().context("there is a thread")
}

criterion_group! {
    name = benches;
    config = configuration();
    targets = contract_threads
}
criterion_main!(benches);
