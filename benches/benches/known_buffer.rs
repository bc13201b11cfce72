//! `cargo bench -p dmashare-bench --bench known_buffer`: see [`OperationKind::KnownBuffer`].

use std::process::ExitCode;

use dmashare_bench::{OperationKind, bench};

fn main() -> ExitCode {
    bench(OperationKind::KnownBuffer)
}
