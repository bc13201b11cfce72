//! `cargo bench -p dmashare-bench --bench contract`: what the contract costs, from 100 buffers to
//! 100,000, and from 100 dma-bufs to 10,000 where there are dma-heaps and udmabuf; see
//! [`dmashare_bench::contract`].
#![allow(
    missing_docs,
    reason = "criterion's macros make undocumented functions"
)]

use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::Result;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use dmashare_bench::contract::Buffers;

const COUNTS: [usize; 4] = [100, 1_000, 10_000, 100_000];
const DMABUFS: [usize; 3] = [100, 1_000, 10_000];

type Operation = fn(&mut Buffers) -> Result<()>;

const OPERATIONS: [(&str, Operation); 6] = [
    ("map_unmap", Buffers::map_unmap),
    ("map_use_unmap", Buffers::map_use_unmap),
    ("attach_detach", Buffers::attach_detach),
    ("pin_unpin", Buffers::pin_unpin),
    ("move_and_map", Buffers::move_and_map),
    ("evict_and_restore", Buffers::evict_and_restore),
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
            let mut buffers = None;
            group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
                let opened = buffers.get_or_insert_with(|| open(count));
                let Ok(buffers) = opened else {
                    panic!("{count} buffers cannot be made: {opened:?}");
                };
                bencher.iter(|| operation(buffers).map_err(|error| format!("{error:#}")));
            });
        }
        group.finish();
    }
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
    targets = contract, contract_dmabufs
}
criterion_main!(benches);
