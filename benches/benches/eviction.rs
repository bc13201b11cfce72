//! `cargo bench -p dmashare-bench --bench eviction`: see [`OperationKind::Eviction`].

use std::process::ExitCode;

use dmashare_bench::{OperationKind, bench};

fn main() -> ExitCode {
    bench(OperationKind::Eviction)
}
