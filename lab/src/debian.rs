//! Packages of Debian trixie and its backports, fetched by mmdebstrap, which finds a mirror itself
//! and leaves the host's own sources alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The suite; its backports are added to it.
const SUITE: &str = "trixie";

/// The variant of a root file system.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Variant {
    /// Nothing but package lists.
    Custom,
    /// The essential packages.
    MinBase,
}

/// mmdebstrap for a root that is written to the tar file `target`; its hooks lie in `folder`.
///
/// # Errors
/// When a hook cannot be written.
pub(crate) fn mmdebstrap(
    variant: Variant,
    folder: &Path,
    target: &Path,
    options: &[String],
) -> Result<Command> {
    let add_backports = write_hook(
        folder,
        "add-backports.sh",
        include_str!("../debian/add-backports.sh"),
    )?;
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--verbose", "--format=tar"])
        .arg(match variant {
            Variant::Custom => "--variant=custom",
            Variant::MinBase => "--variant=minbase",
        })
        .arg(format!(
            "--setup-hook=sh {} \"$1\"",
            add_backports.display()
        ))
        .args(options)
        .arg(SUITE)
        .arg(target)
        // Its own messages are read by us.
        .env("LC_ALL", "C.UTF-8");
    Ok(command)
}

/// Writes a hook script into `folder`; mmdebstrap may run it as another user.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_hook(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
