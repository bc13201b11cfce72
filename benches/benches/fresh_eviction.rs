//! `cargo bench -p dmashare-bench --bench fresh_eviction`: see [`OperationKind::FreshEviction`].

use std::process::ExitCode;

use dmashare_bench::{OperationKind, bench};

fn main() -> ExitCode {
    bench(OperationKind::FreshEviction)
}
