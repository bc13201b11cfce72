//! `cargo bench -p dmashare-bench --bench fences`: see [`Suite::Fences`].

use std::process::ExitCode;

use dmashare_bench::{Suite, bench};

fn main() -> ExitCode {
    bench(Suite::Fences)
}
