//! `cargo bench -p dmashare-bench --bench contract`: what the contract costs, from one buffer to 100,000,
//! from one dma-buf to 10,000 where there are dma-heaps and udmabuf, on one thread and on several, and
//! what a negotiation costs; see [`dmashare_bench::contract`].
#![allow(
    missing_docs,
    reason = "criterion's macros make undocumented functions"
)]

use std::io::{self, Write as _};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use dmashare_bench::contract::{Buffers, Walk};
use dmashare_bench::negotiating;

const COUNTS: [usize; 5] = [1, 100, 1_000, 10_000, 100_000];
const DMABUFS: [usize; 4] = [1, 100, 1_000, 10_000];
const THREADS: [usize; 3] = [1, 2, 4];
/// As many buffers do the threads have together.
const OF_THREADS: usize = 1_000;
const PARTIES: [usize; 4] = [2, 4, 8, 16];
/// As many buffers are moved out of the way before they are brought back.
const EVICTED: usize = 64;

type Operation = fn(&Buffers, &mut Walk) -> Result<()>;

const OPERATIONS: [(&str, Operation); 5] = [
    ("map_unmap", Buffers::map_unmap),
    ("map_use_unmap", Buffers::map_use_unmap),
    ("attach_detach", Buffers::attach_detach),
    ("pin_unpin", Buffers::pin_unpin),
    ("move_and_map", Buffers::move_and_map),
];

fn contract(criterion: &mut Criterion) {
    measure(criterion, "contract", &COUNTS, Buffers::in_memory);
}

fn contract_dmabufs(criterion: &mut Criterion) {
    match Buffers::dmabufs(1) {
        Ok(_) => measure(criterion, "contract_dmabufs", &DMABUFS, Buffers::dmabufs),
        Err(error) => {
            // Without a standard error, there is nobody to tell.
            let _ = writeln!(io::stderr(), "contract_dmabufs is not measured: {error:#}");
        }
    }
}

fn measure(
    criterion: &mut Criterion,
    bench: &str,
    counts: &[usize],
    open: fn(usize) -> Result<Buffers>,
) {
    for (name, operation) in OPERATIONS {
        let mut group = criterion.benchmark_group(format!("{bench}/{name}"));
        for &count in counts {
            let mut opened = None;
            group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
                let (buffers, walk) = opened.get_or_insert_with(|| open_one(open, count));
                bencher.iter(|| operation(buffers, walk).map_err(|error| format!("{error:#}")));
            });
        }
        group.finish();
    }
    for evicting in [true, false] {
        let name = if evicting { "evict" } else { "restore" };
        let mut group = criterion.benchmark_group(format!("{bench}/{name}"));
        for &count in counts {
            let mut opened = None;
            group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
                let (buffers, walk) = opened.get_or_insert_with(|| open_one(open, count));
                bencher.iter_custom(|times| {
                    evict_and_restore(buffers, walk, times, evicting)
                        .unwrap_or_else(|error| panic!("{error:#}"))
                });
            });
        }
        group.finish();
    }
}

fn open_one(open: fn(usize) -> Result<Buffers>, count: usize) -> (Buffers, Walk) {
    let opened = open(count).and_then(|buffers| {
        let walk = buffers.walks(1).next().context("one thread walks")?;
        Ok((buffers, walk))
    });
    opened.unwrap_or_else(|error| panic!("{count} buffers cannot be made: {error:#}"))
}

/// Moves buffers out of the way and brings them back, and returns what one of both took.
fn evict_and_restore(
    buffers: &Buffers,
    walk: &mut Walk,
    times: u64,
    evicting: bool,
) -> Result<Duration> {
    let mut left = usize::try_from(times)?;
    let mut taken = Duration::ZERO;
    while left > 0 {
        let count = left.min(EVICTED).min(buffers.count());
        let start = Instant::now();
        for _ in 0..count {
            buffers.evict()?;
        }
        let evicted = Instant::now();
        buffers.restore(walk, count)?;
        taken += if evicting {
            evicted - start
        } else {
            evicted.elapsed()
        };
        left -= count;
    }
    Ok(taken)
}

/// What an operation takes when several threads do it at the same time, each with buffers of its own.
fn contract_threads(criterion: &mut Criterion) {
    for (name, operation) in OPERATIONS {
        let mut group = criterion.benchmark_group(format!("contract_threads/{name}"));
        for threads in THREADS {
            let mut opened = None;
            group.bench_function(BenchmarkId::from_parameter(threads), |bencher| {
                let (buffers, _) =
                    opened.get_or_insert_with(|| open_one(Buffers::in_memory, OF_THREADS));
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

fn negotiation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("negotiation/solve");
    for parties in PARTIES {
        let opened = negotiating::with_parties(parties);
        let negotiation = opened.unwrap_or_else(|error| panic!("{error:#}"));
        group.bench_function(BenchmarkId::from_parameter(parties), |bencher| {
            bencher.iter(|| negotiation.solve().map_err(|error| error.to_string()));
        });
    }
    group.finish();
}

fn configuration() -> Criterion {
    Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .without_plots()
}

criterion_group! {
    name = benches;
    config = configuration();
    targets = contract, contract_dmabufs, contract_threads, negotiation
}
criterion_main!(benches);
