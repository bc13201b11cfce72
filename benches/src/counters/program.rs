//! Programs whose output is needed.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs a program and returns its standard output.
///
/// # Errors
/// It cannot be started (the cause is the [`std::io::Error`]), or it fails: then what it said is the error.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} failed ({}): {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
