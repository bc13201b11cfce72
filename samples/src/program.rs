//! What the programs have in common: their output, their exit status and their messages.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use tracing_subscriber::EnvFilter;

/// The end of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// For standard output: text for people, or one line of JSON; nothing is printed if it is empty.
    pub output: String,
    /// The exit status.
    pub status: u8,
}

/// Runs a program: prints its output to standard output and its error to standard error, and returns
/// its exit status, which is 1 after an error. With `json` an error is printed to standard output too,
/// as `{"error":"…","run_errors":1}`, so that the last line there is always an object. Messages of the
/// libraries go to standard error, filtered by the environment variable `RUST_LOG`.
pub fn run(name: &str, json: bool, program: impl FnOnce() -> Result<Outcome>) -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let outcome = program().unwrap_or_else(|error| {
        // A standard error that is closed is no reason to panic.
        let _ = writeln!(std::io::stderr().lock(), "{name}: {}", message(&error));
        Outcome {
            output: if json { failure(&error) } else { String::new() },
            status: 1,
        }
    });
    if outcome.output.is_empty() {
        return ExitCode::from(outcome.status);
    }
    let mut stdout = std::io::stdout().lock();
    let written = writeln!(stdout, "{}", outcome.output).and_then(|()| stdout.flush());
    match written {
        Ok(()) => ExitCode::from(outcome.status),
        // The reader has gone (a pipe into `head`), so there is nowhere to print an error.
        Err(_) => ExitCode::FAILURE,
    }
}

/// The JSON object of a run that failed: the error with its causes, and a count of errors.
fn failure(error: &anyhow::Error) -> String {
    serde_json::json!({ "error": message(error), "run_errors": 1 }).to_string()
}

/// An error with its causes, in one line. A cause that the text before it already ends with is left
/// out: some errors repeat theirs.
pub fn message(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_named_once() {
        let error = anyhow::anyhow!("no such file").context("open failed: no such file");
        assert_eq!(message(&error), "open failed: no such file");
        let error = anyhow::anyhow!("no such file")
            .context("open failed")
            .context("no card");
        assert_eq!(message(&error), "no card: open failed: no such file");
    }

    #[test]
    fn a_failure_is_one_line_of_json_with_all_causes() {
        let error = anyhow::anyhow!("not \"this\"\nnor that").context("no card");
        let line = failure(&error);
        assert!(!line.contains('\n'), "{line}");
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({
            "error": "no card: not \"this\"\nnor that",
            "run_errors": 1,
        });
        assert_eq!(json, expected);
    }
}
