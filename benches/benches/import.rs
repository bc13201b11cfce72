//! `cargo bench -p dmashare-bench --bench import`: see [`OperationKind::Import`].

use std::process::ExitCode;

use dmashare_bench::{OperationKind, bench};

fn main() -> ExitCode {
    bench(OperationKind::Import)
}
