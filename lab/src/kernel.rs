//! Builds the user-mode Linux kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache::{self, Cache};
use crate::debian::{self, Variant};
use crate::kernel_config;
use crate::progress::Progress;
use crate::watched_child;

/// Changes to the kernel's source, each a patch for `patch -p1`.
const PATCHES: &[(&str, &str)] = &[
    (
        "vgem-syncobj.patch",
        include_str!("../patches/vgem-syncobj.patch"),
    ),
    (
        "vkms-crtc-lock.patch",
        include_str!("../patches/vkms-crtc-lock.patch"),
    ),
];

/// About how many lines make prints for this configuration: only for the estimate of time.
const MAKE_STEPS: u64 = 1660;

/// Oldest usable kernel: the first with several CPUs in user-mode Linux and vkms in configfs.
const OLDEST: (u32, u32) = (7, 0);

/// A name for the kernel that this version of the lab builds.
pub(crate) fn key() -> String {
    let patches = PATCHES.iter().map(|(_, text)| text.as_bytes());
    cache::key([kernel_config::ASKED.as_bytes()].into_iter().chain(patches))
}

/// Builds the kernel if the cache has none; its folder has `linux`, `config` and `version`.
///
/// # Errors
/// When the source cannot be fetched, an option is not set as asked, or the build fails.
pub(crate) fn ensure(cache: &Cache) -> Result<PathBuf> {
    cache.build_once("kernel", &key(), |folder| build(cache, folder))
}

fn build(cache: &Cache, folder: &Path) -> Result<()> {
    let package = cache.build_once("kernel-source", "trixie-backports", fetch_source)?;
    let source = folder.join("source");
    let configured = folder.join("configured");
    if !configured.exists() {
        // Whatever an interrupted set-up left is unpacked anew; only make's own work goes on.
        remove(&source)?;
        fs::create_dir_all(&source)?;
        unpack(&package, &source)?;
        apply_patches(folder, &source)?;
        configure(folder, &source)?;
        fs::write(&configured, "")?;
    }
    compile(&source)?;
    fs::copy(source.join("linux"), folder.join("linux")).context("no kernel after the build")?;
    fs::copy(source.join(".config"), folder.join("config"))?;
    fs::copy(package.join("version"), folder.join("version"))?;
    remove(&source)?;
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Downloads the newest source package of trixie-backports; leaves its tar file and its version.
fn fetch_source(folder: &Path) -> Result<()> {
    let mut progress = Progress::start("kernel source", "packages downloaded", 0);
    let download = debian::write_hook(
        folder,
        "download-kernel-source.sh",
        include_str!("../debian/download-kernel-source.sh"),
    )?;
    let options = [
        format!("--customize-hook=sh {} \"$1\"", download.display()),
        format!(
            "--customize-hook=copy-out /kernel-source {}",
            folder.display()
        ),
    ];
    let empty_root = folder.join("empty-root.tar");
    remove(&folder.join("kernel-source"))?;
    let mut command = debian::mmdebstrap(Variant::Custom, folder, &empty_root, &options)?;
    watched_child::run(&mut command, |line| {
        if line.starts_with("Fetched ") {
            progress.step();
        }
    })
    .context("cannot download the kernel's source package")?;
    progress.finish();

    let packages = fs::read_dir(folder.join("kernel-source"))?;
    let Some(package) = packages.filter_map(Result::ok).next() else {
        bail!("mmdebstrap left no kernel source package");
    };
    let name = package.file_name().to_string_lossy().into_owned();
    let version = name.split('_').nth(1).unwrap_or_default().to_owned();
    check_version(&version)?;
    let unpacked = folder.join("unpacked");
    remove(&unpacked)?;
    watched_child::run(
        Command::new("dpkg-deb")
            .arg("--extract")
            .arg(package.path())
            .arg(&unpacked),
        |_| {},
    )?;
    let tar = fs::read_dir(unpacked.join("usr/src"))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with(".tar.xz"))
        .context("the kernel source package has no .tar.xz file")?;
    fs::rename(tar, folder.join("linux.tar.xz"))?;
    fs::write(folder.join("version"), format!("{version}\n"))?;
    remove(&unpacked)?;
    remove(&folder.join("kernel-source"))?;
    fs::remove_file(empty_root).context("mmdebstrap left no root")
}

/// Fails for a kernel that is too old.
fn check_version(version: &str) -> Result<()> {
    let mut numbers = version.split('.').map_while(|number| number.parse().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0_u32));
    if found < OLDEST {
        bail!(
            "the newest kernel source is {version:?}, the lab needs {}.{} or newer",
            OLDEST.0,
            OLDEST.1
        );
    }
    Ok(())
}

fn unpack(package: &Path, source: &Path) -> Result<()> {
    let mut progress = Progress::start("kernel source", "files unpacked", 102_000);
    watched_child::run(
        Command::new("tar")
            .args(["--extract", "--verbose", "--strip-components=1", "--file"])
            .arg(package.join("linux.tar.xz"))
            .arg("--directory")
            .arg(source),
        |_| progress.step(),
    )?;
    progress.finish();
    Ok(())
}

fn apply_patches(folder: &Path, source: &Path) -> Result<()> {
    for (name, text) in PATCHES {
        let patch = debian::write_hook(folder, name, text)?;
        watched_child::run(
            Command::new("patch")
                .args(["--strip=1", "--forward", "--input"])
                .arg(&patch)
                .current_dir(source),
            |_| {},
        )
        .with_context(|| format!("the kernel's source has changed: {name} does not apply"))?;
    }
    Ok(())
}

fn make(source: &Path) -> Command {
    let mut make = Command::new("make");
    make.arg("ARCH=um").current_dir(source);
    // What a caller's build set for itself must not reach the kernel's.
    for variable in ["MAKEFLAGS", "CFLAGS", "LDFLAGS", "CC", "CROSS_COMPILE"] {
        make.env_remove(variable);
    }
    make
}

fn configure(folder: &Path, source: &Path) -> Result<()> {
    let asked = folder.join("asked.config");
    fs::write(&asked, kernel_config::ASKED)?;
    watched_child::run(make(source).arg("tinyconfig"), |_| {})?;
    watched_child::run(
        Command::new(source.join("scripts/kconfig/merge_config.sh"))
            .args(["-m", ".config"])
            .arg(&asked)
            .current_dir(source),
        |_| {},
    )?;
    watched_child::run(make(source).arg("olddefconfig"), |_| {})?;
    let built = fs::read_to_string(source.join(".config"))?;
    let dropped = kernel_config::not_as_asked(kernel_config::ASKED, &built);
    if !dropped.is_empty() {
        bail!(
            "the kernel's configuration does not have, as asked for: {}",
            dropped.join(", ")
        );
    }
    Ok(())
}

fn compile(source: &Path) -> Result<()> {
    let mut progress = Progress::start("kernel", "objects compiled", MAKE_STEPS);
    let jobs = std::thread::available_parallelism().map_or(2, usize::from) + 1;
    watched_child::run(
        make(source).arg(format!("--jobs={jobs}")).arg("linux"),
        |line| {
            if line.starts_with("  ") {
                progress.step();
            }
        },
    )
    .context("the kernel does not compile")?;
    progress.finish();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_kernels_are_refused() {
        check_version("7.3.4-1~bpo13+1").unwrap();
        check_version("10.0-1").unwrap();
        for version in ["6.12.9-1", "", "x"] {
            assert!(check_version(version).is_err(), "{version}");
        }
    }
}
