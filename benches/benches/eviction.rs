//! `cargo bench -p dmashare-bench --bench eviction`: see [`Suite::Eviction`].

use std::process::ExitCode;

use dmashare_bench::{Suite, bench};

fn main() -> ExitCode {
    bench(Suite::Eviction)
}
