//! `cargo bench -p dmashare-bench --bench flip`: see [`OperationKind::Flip`].

use std::process::ExitCode;

use dmashare_bench::{OperationKind, bench};

fn main() -> ExitCode {
    bench(OperationKind::Flip)
}
