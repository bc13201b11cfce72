//! `cargo bench -p dmashare-bench --bench handoff`: see [`Suite::Handoff`].

use std::process::ExitCode;

use dmashare_bench::{Suite, bench};

fn main() -> ExitCode {
    bench(Suite::Handoff)
}
