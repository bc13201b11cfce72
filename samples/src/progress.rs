//! A progress bar for long work.

use std::io::Write as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work that takes less time needs no bar.
const PATIENCE: Duration = Duration::from_secs(2);

/// Counts steps, and shows them with an estimate on standard error once the work has taken two
/// seconds. Where standard error is not a terminal, nothing is shown, unless the environment has
/// `DMASHARE_PROGRESS`: then a line `progress: 17/300` comes every second, for another program.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    begun: Instant,
    shown: bool,
    told: Option<Instant>,
}

impl Progress {
    /// Counts up to `steps`, each of them one `unit` ("frames").
    pub fn new(steps: u64, unit: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::hidden());
        let template = format!("{{wide_bar}} {{pos}} of {{len}} {unit}, {{eta}} left");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        Self {
            bar,
            begun: Instant::now(),
            shown: false,
            told: std::env::var_os("DMASHARE_PROGRESS").map(|_| Instant::now()),
        }
    }

    /// One more step is done.
    pub fn step(&mut self) {
        self.bar.inc(1);
        if !self.shown && self.begun.elapsed() > PATIENCE {
            self.shown = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        if let Some(told) = &mut self.told
            && told.elapsed() > Duration::from_secs(1)
        {
            *told = Instant::now();
            let length = self.bar.length().unwrap_or_default();
            // A reader that has gone does not stop the work.
            let _ = writeln!(
                std::io::stderr(),
                "progress: {}/{length}",
                self.bar.position()
            );
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
