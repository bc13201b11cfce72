//! Programs that are counted.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// The loader's list of layers for a program.
pub(super) const LAYERS: &str = "VK_INSTANCE_LAYERS";

/// Runs a program and returns its standard output. Layers that were asked for from outside are left
/// out, unless the command names them: validation makes calls of its own.
///
/// # Errors
/// It cannot be started (the cause is the [`std::io::Error`]), or it fails: then what it said is the error.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    if !command.get_envs().any(|(name, _)| name == LAYERS) {
        command.env_remove(LAYERS);
    }
    let output = command
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} failed ({}): {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
