//! `cargo bench -p dmashare-bench --bench export_import`: see [`Suite::ExportImport`].

use std::process::ExitCode;

use dmashare_bench::{Suite, bench};

fn main() -> ExitCode {
    bench(Suite::ExportImport)
}
