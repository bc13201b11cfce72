//! `cargo bench -p dmashare-bench --bench contract`: what the contract costs, from one buffer to 100,000,
//! from one dma-buf to 10,000 where there are dma-heaps and udmabuf, and what a negotiation costs;
//! see [`dmashare_bench::contract`].
#![allow(
    missing_docs,
    reason = "criterion's macros make undocumented functions"
)]

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use anyhow::Result;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use dmashare_bench::contract::{Buffers, OPERATIONS, Walk, configuration};
use dmashare_bench::negotiating;

const COUNTS: [usize; 5] = [1, 100, 1_000, 10_000, 100_000];
const DMABUFS: [usize; 4] = [1, 100, 1_000, 10_000];
const PARTIES: [usize; 4] = [2, 4, 8, 16];
/// As many buffers are moved out of the way before they are brought back.
const EVICTED: usize = 64;

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
                let (buffers, walk) = opened.get_or_insert_with(|| Buffers::with_walk(open, count));
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
                let (buffers, walk) = opened.get_or_insert_with(|| Buffers::with_walk(open, count));
                bencher.iter_custom(|times| {
                    evict_and_restore(buffers, walk, times, evicting)
                        .unwrap_or_else(|error| panic!("{error:#}"))
                });
            });
        }
        group.finish();
    }
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

criterion_group! {
    name = benches;
    config = configuration();
    targets = contract, contract_dmabufs, negotiation
}
criterion_main!(benches);
