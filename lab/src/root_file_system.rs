//! Builds the guest's root file system: Debian trixie with Mesa's software Vulkan, and SwiftShader for
//! those who ask for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cache::{self, Cache};
use crate::debian::{self, Variant};
use crate::progress::Progress;
use crate::watched_child;

/// The packages, one a line.
const PACKAGES: &str = include_str!("../debian/root-packages");

/// Adds the second Vulkan driver; the script itself, as in [`debian::arguments`].
const ADD_SWIFTSHADER: &str = include_str!("../debian/add-swiftshader.sh");

/// About how many packages are unpacked and set up: only for the estimate of time.
const PACKAGE_STEPS: u64 = 280;

/// Raised when the same inputs are made into something else, by a change of code.
const FORMAT: &str = "2";

/// How the root is unpacked. Files belong to whoever sets up: in the guest, hostfs lets its root user
/// read them all the same. Device nodes would need root and come from devtmpfs anyway.
const UNPACK: [&str; 3] = ["--extract", "--no-same-owner", "--exclude=./dev/*"];

/// A name for the root file system that this version of the lab builds.
pub(crate) fn key() -> String {
    let arguments = arguments();
    let inputs = [FORMAT]
        .into_iter()
        .chain(UNPACK)
        .chain(arguments.iter().map(String::as_str));
    cache::key(inputs.map(str::as_bytes))
}

/// Builds the root file system if the cache has none; it is in the folder `root` of what is
/// returned.
///
/// # Errors
/// When mmdebstrap or unpacking fails.
pub(crate) fn ensure(cache: &Cache) -> Result<PathBuf> {
    let entry = cache.build_once("root", &key(), build)?;
    Ok(entry.join("root"))
}

fn packages() -> String {
    let names: Vec<&str> = PACKAGES
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    names.join(",")
}

/// mmdebstrap's arguments.
fn arguments() -> Vec<String> {
    let options = [
        format!("--include={}", packages()),
        // Nobody reads manuals in the guest.
        "--dpkgopt=path-exclude=/usr/share/man/*".to_owned(),
        "--dpkgopt=path-exclude=/usr/share/doc/*".to_owned(),
        "--dpkgopt=path-exclude=/usr/share/locale/*".to_owned(),
        format!("--customize-hook={ADD_SWIFTSHADER}"),
    ];
    debian::arguments(Variant::MinBase, &options)
}

fn build(folder: &Path) -> Result<()> {
    let tar = folder.join("root.tar");
    let root = folder.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).context("cannot remove an interrupted set-up's root")?;
    }
    let mut progress = Progress::start(
        "root file system",
        "packages unpacked or set up",
        PACKAGE_STEPS,
    );
    let mut command = debian::mmdebstrap(&arguments(), &tar);
    watched_child::run(&mut command, |line| {
        if line.starts_with("Unpacking ") || line.starts_with("Setting up ") {
            progress.step();
        }
    })
    .context("cannot build the root file system")?;
    progress.finish();

    fs::create_dir(&root)?;
    watched_child::run(
        Command::new("tar")
            .args(UNPACK)
            .arg("--file")
            .arg(&tar)
            .arg("--directory")
            .arg(&root),
        |_| {},
    )
    .context("cannot unpack the root file system")?;
    fs::remove_file(&tar)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_depends_on_more_than_the_packages() {
        assert_eq!(key(), key());
        assert_ne!(key(), cache::key([PACKAGES.as_bytes()]));
        assert!(
            arguments()
                .iter()
                .any(|a| a.contains("mesa-vulkan-drivers"))
        );
        assert!(arguments().iter().any(|a| a.contains(ADD_SWIFTSHADER)));
    }
}
