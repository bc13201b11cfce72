//! How to measure it again.

use super::super::Report;

/// Commands, and what the figures are.
pub(in super::super) fn how(report: &mut Report) {
    report.section("How to repeat it");
    report.commands(
        "\
cargo lab bench --report DIR                 # on this machine's GPU if it has one, else in the lab
cargo lab bench --on lab --report DIR        # needs neither GPU nor display
cargo bench -p dmashare-bench                # without the lab, and then
cargo run --profile bench -p dmashare-bench --bin report -- --out DIR
cargo run --profile bench -p dmashare-bench --bin report -- --from benchmarks.json --out DIR",
    );
    report.paragraph(
        "A time is the median of the samples of one side, by criterion. A ratio is the median of the \
         ratios of samples that were taken in turns; its interval is of 95%, by bootstrap. All figures of \
         this report are in `benchmarks.json`.",
    );
}
