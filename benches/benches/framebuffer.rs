//! `cargo bench -p dmashare-bench --bench framebuffer`: see [`OperationKind::Framebuffer`].

use std::process::ExitCode;

use dmashare_bench::{OperationKind, bench};

fn main() -> ExitCode {
    bench(OperationKind::Framebuffer)
}
