//! What the programs have in common: their answer, their exit status and their messages.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use tracing_subscriber::EnvFilter;

/// What a program has to say at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// For standard output: text for people, or one line of JSON.
    pub output: String,
    /// The exit status.
    pub status: u8,
}

/// Runs a program: prints its answer to standard output and its error to standard error, and gives
/// its exit status, which is 1 after an error. Messages of the libraries go to standard error,
/// filtered by the environment variable `RUST_LOG`.
pub fn run(name: &str, program: impl FnOnce() -> Result<Outcome>) -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    match program() {
        Ok(outcome) => {
            let mut stdout = std::io::stdout().lock();
            let written = writeln!(stdout, "{}", outcome.output).and_then(|()| stdout.flush());
            match written {
                Ok(()) => ExitCode::from(outcome.status),
                // The reader has gone (a pipe into `head`): there is nobody to tell.
                Err(_) => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            // A standard error that is closed is no reason to panic.
            let _ = writeln!(std::io::stderr().lock(), "{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
