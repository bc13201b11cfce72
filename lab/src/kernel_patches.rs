//! Changes to the kernel's source. The source is whatever is newest, so one may not apply any more:
//! the kernel is then built without it, and set-up and `cargo lab doctor` say so.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::watched_child;

/// A change for `patch --strip=1`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KernelPatch {
    /// Its file's name.
    name: &'static str,
    /// Its text.
    pub(crate) text: &'static str,
    /// What is not as it should be in a kernel without it.
    without: &'static str,
}

/// All of them, in the order in which they are applied.
pub(crate) const PATCHES: &[KernelPatch] = &[
    KernelPatch {
        name: "vgem-syncobj.patch",
        text: include_str!("../patches/vgem-syncobj.patch"),
        without: "the render node has no syncobjs",
    },
    KernelPatch {
        name: "vkms-crtc-lock.patch",
        text: include_str!("../patches/vkms-crtc-lock.patch"),
        without: "a commit of several CRTCs may make lockdep fail a run",
    },
    KernelPatch {
        name: "vkms-composer-users.patch",
        text: include_str!("../patches/vkms-composer-users.patch"),
        without: "a capture may be lost when it follows another at once",
    },
    KernelPatch {
        name: "vkms-writeback-order.patch",
        text: include_str!("../patches/vkms-writeback-order.patch"),
        without: "a capture may be lost when the next commit comes before it is written",
    },
];

/// The file in the kernel's cache entry with a line for each patch that is not in the kernel.
const RECORD: &str = "patches-not-applied";

/// Applies every patch to `source`, skips those that it has already, warns of those that do not apply,
/// and leaves a record in `folder` for [`not_applied`].
///
/// # Errors
/// When patch cannot be run, or fails although its trial run did not.
pub(crate) fn apply(source: &Path, folder: &Path) -> Result<()> {
    apply_all(PATCHES, source, folder)
}

fn apply_all(patches: &[KernelPatch], source: &Path, folder: &Path) -> Result<()> {
    let mut record = String::new();
    for patch in patches {
        let file = folder.join(patch.name);
        fs::write(&file, patch.text).with_context(|| format!("cannot write {}", file.display()))?;
        if would_apply(source, &file, "--forward")? {
            watched_child::run(&mut command(source, &file, "--forward"), |_| {})
                .with_context(|| format!("cannot apply {}", patch.name))?;
        } else if !would_apply(source, &file, "--reverse")? {
            let line = format!("{}: {}", patch.name, patch.without);
            let _ = writeln!(
                std::io::stderr(),
                "lab: warning: the kernel's source has changed and is built without {line}"
            );
            record.push_str(&line);
            record.push('\n');
        }
        fs::remove_file(&file)?;
    }
    fs::write(folder.join(RECORD), record).context("cannot write the record of patches")
}

/// The patches that the kernel in `folder` does not have, each with what that means.
pub(crate) fn not_applied(folder: &Path) -> Vec<String> {
    let record = fs::read_to_string(folder.join(RECORD)).unwrap_or_default();
    record.lines().map(str::to_owned).collect()
}

fn command(source: &Path, file: &Path, direction: &str) -> Command {
    let mut patch = Command::new("patch");
    patch
        .args(["--strip=1", "--reject-file=-", direction, "--input"])
        .arg(file)
        .current_dir(source);
    patch
}

/// Whether the patch applies in this direction; nothing is changed.
fn would_apply(source: &Path, file: &Path, direction: &str) -> Result<bool> {
    let status = command(source, file, direction)
        // Without --force, patch would ask whether to ignore the direction.
        .args(["--dry-run", "--force"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("cannot run patch")?;
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "one\ntwo\nthree\nfour\n";
    const AFTER: &str = "one\ntwo\n3\nfour\n";
    const PATCH: KernelPatch = KernelPatch {
        name: "three.patch",
        text: "why\n\n--- a/file\n+++ b/file\n@@ -1,4 +1,4 @@\n one\n two\n-three\n+3\n four\n",
        without: "three is a word",
    };

    /// What applying [`PATCH`] to `text` leaves, and what it says is not applied.
    fn apply_to(text: &str) -> (String, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        fs::create_dir(&source).unwrap();
        fs::write(source.join("file"), text).unwrap();
        apply_all(&[PATCH], &source, folder.path()).unwrap();
        let files: Vec<_> = source.read_dir().unwrap().collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let left = fs::read_to_string(source.join("file")).unwrap();
        (left, not_applied(folder.path()))
    }

    #[test]
    fn a_patch_is_applied_once() {
        assert_eq!(apply_to(BEFORE), (AFTER.to_owned(), Vec::new()));
        assert_eq!(apply_to(AFTER), (AFTER.to_owned(), Vec::new()));
    }

    #[test]
    fn a_patch_that_does_not_apply_changes_nothing_and_is_recorded() {
        let other = "something\nelse\n";
        let (left, missing) = apply_to(other);
        assert_eq!(left, other);
        assert_eq!(missing, ["three.patch: three is a word"]);
    }

    #[test]
    fn a_kernel_without_a_record_has_every_patch() {
        let folder = tempfile::tempdir().unwrap();
        assert!(not_applied(folder.path()).is_empty());
    }
}
