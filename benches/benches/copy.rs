//! `cargo bench -p dmashare-bench --bench copy`: see [`Suite::Copy`].

use std::process::ExitCode;

use dmashare_bench::{Suite, bench};

fn main() -> ExitCode {
    bench(Suite::Copy)
}
