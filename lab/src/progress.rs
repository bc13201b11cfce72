//! Progress of a set-up step: a bar on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Time between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(15);

/// Shows how far one step is; ends when dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    what: String,
    unit: &'static str,
    bar: Option<ProgressBar>,
    done: u64,
    expected: u64,
    started: Instant,
    told: Instant,
}

impl Progress {
    /// Starts the step `what`, which has about `expected` parts called `unit`; 0 if unknown.
    pub(crate) fn start(what: impl Into<String>, unit: &'static str, expected: u64) -> Self {
        let what = what.into();
        let now = Instant::now();
        let bar = std::io::stderr()
            .is_terminal()
            .then(|| bar(what.clone(), unit, expected));
        let progress = Self {
            what,
            unit,
            bar,
            done: 0,
            expected,
            started: now,
            told: now,
        };
        if progress.bar.is_none() {
            progress.tell("started");
        }
        progress
    }

    /// One more part is done.
    pub(crate) fn step(&mut self) {
        self.set(self.done + 1);
    }

    /// So many parts are done.
    pub(crate) fn set(&mut self, done: u64) {
        self.done = done;
        match &self.bar {
            Some(bar) => bar.set_position(self.done),
            None if self.told.elapsed() >= LINE_INTERVAL => {
                self.told = Instant::now();
                self.tell(&self.status());
            }
            None => {}
        }
    }

    /// Says that the step is complete and how long it took.
    pub(crate) fn finish(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.tell(&format!("done in {} s", self.started.elapsed().as_secs()));
    }

    /// Count and estimate of the time left.
    fn status(&self) -> String {
        let left = self.expected.saturating_sub(self.done);
        let elapsed = self.started.elapsed().as_secs();
        // The first parts say nothing about the others: they come after downloads and checks.
        if self.done * 20 < self.expected || self.done == 0 || self.expected == 0 {
            return format!("{} {}, {elapsed} s so far", self.done, self.unit);
        }
        format!(
            "{} of about {} {}, about {} s left",
            self.done,
            self.expected,
            self.unit,
            elapsed * left / self.done
        )
    }

    fn tell(&self, status: &str) {
        let _ = writeln!(std::io::stderr(), "lab: {}: {status}", self.what);
    }
}

fn bar(what: String, unit: &'static str, expected: u64) -> ProgressBar {
    if expected == 0 {
        let bar = ProgressBar::new_spinner().with_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        return bar;
    }
    let style = ProgressStyle::with_template(
        "{msg} [{bar:30}] {pos}/{len} {prefix}, {elapsed} so far, about {eta} left",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(expected)
        .with_style(style)
        .with_message(what)
        .with_prefix(unit);
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}
