//! `cargo bench -p dmashare-bench --bench safeties`: see [`Suite::Safeties`].

use std::process::ExitCode;

use dmashare_bench::{Suite, bench};

fn main() -> ExitCode {
    bench(Suite::Safeties)
}
