//! `cargo bench -p dmashare-bench --bench export`: see [`OperationKind::Export`].

use std::process::ExitCode;

use dmashare_bench::{OperationKind, bench};

fn main() -> ExitCode {
    bench(OperationKind::Export)
}
