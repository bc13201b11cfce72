//! What set-up needs on the host: looked for, and installed where that is allowed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::cache::Cache;
use crate::progress::Progress;
use crate::{subordinate_ids, watched_child};

/// Something that must be there, and the Debian package that brings it.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Requirement {
    /// A program's name, or a file's absolute path.
    pub(crate) what: &'static str,
    /// The package.
    pub(crate) package: &'static str,
}

const fn needs(what: &'static str, package: &'static str) -> Requirement {
    Requirement { what, package }
}

/// Everything that set-up runs or reads.
const REQUIREMENTS: &[Requirement] = &[
    needs("gcc", "gcc"),
    needs("/usr/include/stdio.h", "libc6-dev"),
    // The benchmark's peers link these.
    needs("/usr/include/gbm.h", "libgbm-dev"),
    needs("/usr/include/xkbcommon/xkbcommon.h", "libxkbcommon-dev"),
    needs("make", "make"),
    needs("flex", "flex"),
    needs("bison", "bison"),
    needs("bc", "bc"),
    needs("patch", "patch"),
    needs("perl", "perl"),
    needs("tar", "tar"),
    needs("xz", "xz-utils"),
    needs("dpkg-deb", "dpkg"),
    needs("mmdebstrap", "mmdebstrap"),
    needs(
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "debian-archive-keyring",
    ),
];

/// Where `program` is, as a shell would find it.
fn find_program(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// What is not there.
pub(crate) fn missing() -> Vec<Requirement> {
    let there = |what: &str| {
        if what.starts_with('/') {
            Path::new(what).exists()
        } else {
            find_program(what).is_some()
        }
    };
    let mut missing: Vec<Requirement> = REQUIREMENTS
        .iter()
        .copied()
        .filter(|requirement| !there(requirement.what))
        .collect();
    // Without root, mmdebstrap needs subordinate user ids.
    if !nix::unistd::geteuid().is_root() && !there("newuidmap") {
        missing.push(needs("newuidmap", "uidmap"));
    }
    missing
}

/// The command that installs `missing`.
pub(crate) fn install_command(missing: &[Requirement]) -> String {
    format!("{UPDATE} && {INSTALL} {}", packages(missing))
}

const UPDATE: &str = "apt-get update";
const INSTALL: &str = "apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends";

/// Finishes what an interrupted dpkg left, without which apt-get refuses to install.
const REPAIR: &str = "test -z \"$(dpkg --audit)\" || dpkg --configure -a";

fn packages(missing: &[Requirement]) -> String {
    let packages: Vec<&str> = missing.iter().map(|needed| needed.package).collect();
    packages.join(" ")
}

/// Installs what is missing when we are root and have apt-get. Two set-ups at once wait for each
/// other, and each for any other apt-get.
///
/// # Errors
/// When something is missing and cannot be installed by us (with the command that does it), or
/// installing it failed.
pub(crate) fn ensure(cache: &Cache) -> Result<()> {
    if missing().is_empty() {
        return subordinate_ids::check();
    }
    let _lock = cache.lock("host-packages")?;
    // Another set-up may have installed them while we waited.
    let missing = missing();
    if missing.is_empty() {
        return subordinate_ids::check();
    }
    let command = install_command(&missing);
    let named: Vec<&str> = missing.iter().map(|needed| needed.what).collect();
    let named = named.join(", ");
    if find_program("apt-get").is_none() {
        bail!(
            "not found: {named}. Install them with your system's package manager (Debian's \
             packages are: {})",
            packages(&missing)
        );
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("not found: {named}. Install them with: sudo sh -c '{command}'");
    }
    let mut progress = Progress::start("host packages", "steps", 0);
    install(&packages(&missing), |line| {
        if line.starts_with("Setting up ") {
            progress.step();
        }
    })
    .with_context(|| format!("cannot install {named}; try: {command}"))?;
    progress.finish();
    let still = self::missing();
    if let Some(requirement) = still.first() {
        bail!(
            "{} is still missing after the package {} was installed",
            requirement.what,
            requirement.package
        );
    }
    Ok(())
}

fn install(packages: &str, on_line: impl FnMut(&str)) -> Result<()> {
    let shell = |script: &str| {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", script])
            .env("DEBIAN_FRONTEND", "noninteractive");
        shell
    };
    watched_child::run(&mut shell(UPDATE), |_| {})?;
    // apt-get itself tells when what another one left cannot be repaired.
    let script = format!("{{ {REPAIR}; }}; exec {INSTALL} {packages}");
    watched_child::run_to_end(&mut shell(&script), on_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(find_program("sh").is_some());
        assert!(find_program("no-such-program-here").is_none());
    }

    #[test]
    fn the_command_names_every_package() {
        let command = install_command(&[needs("xz", "xz-utils"), needs("bc", "bc")]);
        assert!(command.ends_with(" xz-utils bc"), "{command}");
    }
}
