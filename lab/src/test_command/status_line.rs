//! One line on a terminal: what runs, how many wait, how long it may take.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::ProgressBar;

use crate::test_command::schedule::Schedule;

/// The line; gone when dropped. Without a terminal there is none: the jobs' output shows how far it is.
#[derive(Debug)]
pub(crate) struct StatusLine {
    bar: Option<ProgressBar>,
    jobs: usize,
}

impl StatusLine {
    /// Starts the line for so many jobs.
    pub(crate) fn start(jobs: usize) -> Self {
        let terminal = std::io::stderr().is_terminal() && jobs > 1;
        Self {
            bar: terminal.then(ProgressBar::new_spinner),
            jobs,
        }
    }

    /// Shows the jobs that run, each with the time since its start and what it is expected to take.
    pub(crate) fn update<'a>(
        &self,
        running: impl Iterator<Item = (&'a str, Duration, Duration)>,
        schedule: &Schedule,
    ) {
        if let Some(bar) = &self.bar {
            bar.set_message(text(running, schedule, self.jobs));
            bar.tick();
        }
    }

    /// Does something while the line is not there, such as writing to the terminal.
    pub(crate) fn hidden<T>(&self, what: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(what),
            None => what(),
        }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn text<'a>(
    running: impl Iterator<Item = (&'a str, Duration, Duration)>,
    schedule: &Schedule,
    jobs: usize,
) -> String {
    let mut names = Vec::new();
    let mut longest = Duration::ZERO;
    for (name, elapsed, expected) in running {
        names.push(format!("{name} {} s", elapsed.as_secs()));
        longest = longest.max(expected.saturating_sub(elapsed));
    }
    let left = schedule.time_left() + longest;
    format!(
        "{}; {} of {jobs} wait, about {} s left",
        names.join(", "),
        schedule.waiting(),
        left.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;
    use crate::test_command::schedule::{Job, Slots};
    use crate::test_command::selection::Part;

    #[test]
    fn the_line_tells_what_runs_what_waits_and_how_long() {
        let job = |name: &str| {
            let command = Command::new("true");
            let mut job = Job::new(name.to_owned(), Part::InTheLab, 1, command, PathBuf::new());
            job.expected = Duration::from_secs(7);
            job
        };
        let jobs = vec![job("a"), job("b")];
        let schedule = Schedule::new(jobs, &Slots::choose(Some(1)).unwrap());
        let second = Duration::from_secs(1);
        let running = [("c", 3 * second, 5 * second), ("d", 9 * second, 8 * second)];
        assert_eq!(
            text(running.into_iter(), &schedule, 5),
            "c 3 s, d 9 s; 2 of 5 wait, about 16 s left"
        );
    }
}
