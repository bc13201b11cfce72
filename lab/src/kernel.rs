//! Builds the user-mode Linux kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache::{self, Cache};
use crate::debian::{self, Variant};
use crate::kernel_config;
use crate::kernel_patches::{self, PATCHES};
use crate::progress::Progress;
use crate::watched_child;

/// About how many lines make prints for this configuration: only for the estimate of time.
const MAKE_STEPS: u64 = 1660;

/// Oldest usable kernel: the first with several CPUs in user-mode Linux and vkms in configfs.
const OLDEST: (u32, u32) = (7, 0);

/// Raised when the same inputs are made into something else, by a change of code.
const FORMAT: &str = "2";

/// The options asked for, as a file in the source's folder.
const ASKED_FILE: &str = "asked.config";

/// The steps of the configuration, run in the source's folder.
const CONFIGURE: [&[&str]; 3] = [
    &["make", "ARCH=um", "tinyconfig"],
    &[
        "scripts/kconfig/merge_config.sh",
        "-m",
        ".config",
        ASKED_FILE,
    ],
    &["make", "ARCH=um", "olddefconfig"],
];

/// The compilation, run in the source's folder; the number of jobs is added.
const COMPILE: [&str; 3] = ["make", "ARCH=um", "linux"];

/// A name for the kernel that this version of the lab builds.
pub(crate) fn key() -> String {
    let steps = CONFIGURE.into_iter().flatten().copied().chain(COMPILE);
    let patches = PATCHES.iter().map(|patch| patch.text);
    let inputs = [FORMAT, kernel_config::ASKED].into_iter();
    cache::key(inputs.chain(steps).chain(patches).map(str::as_bytes))
}

/// Builds the kernel if the cache has none; its folder has `linux`, `config`, `version` and what
/// [`kernel_patches::apply`] says of the patches.
///
/// # Errors
/// When the source cannot be fetched, an option is not set as asked, or the build fails.
pub(crate) fn ensure(cache: &Cache) -> Result<PathBuf> {
    cache.build_once("kernel", &key(), |folder| build(cache, folder))
}

fn build(cache: &Cache, folder: &Path) -> Result<()> {
    let package = cache.build_once("kernel-source", "trixie-backports", fetch_source)?;
    let source = folder.join("source");
    let finished = folder.join("finished");
    if !finished.exists() {
        build_in(&package, &source, folder)?;
        fs::copy(source.join("linux"), folder.join("linux")).context("no kernel was built")?;
        fs::copy(source.join(".config"), folder.join("config"))?;
        fs::copy(package.join("version"), folder.join("version"))?;
        fs::write(&finished, "")?;
    }
    // The mark stays: a set-up interrupted from here on must not compile half a source tree.
    remove(&source)
}

/// Leaves a compiled kernel in `source`; goes on where an interrupted set-up was.
fn build_in(package: &Path, source: &Path, folder: &Path) -> Result<()> {
    let configured = folder.join("configured");
    if !configured.exists() {
        // Whatever an interrupted set-up left is unpacked anew; only make's own work goes on.
        remove(source)?;
        fs::create_dir_all(source)?;
        unpack(package, source)?;
        kernel_patches::apply(source, folder)?;
        configure(source)?;
        fs::write(&configured, "")?;
    }
    compile(source)
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
    let download = include_str!("../debian/download-kernel-source.sh");
    let options = [
        format!("--customize-hook={download}"),
        format!(
            "--customize-hook=copy-out /kernel-source {}",
            folder.display()
        ),
    ];
    let empty_root = folder.join("empty-root.tar");
    remove(&folder.join("kernel-source"))?;
    let arguments = debian::arguments(Variant::Custom, &options);
    let mut command = debian::mmdebstrap(&arguments, &empty_root);
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

/// A step of the configuration or the compilation.
fn step(source: &Path, words: &[&str]) -> Command {
    let (program, arguments) = words.split_first().unwrap_or((&"make", &[]));
    let mut step = if program.contains('/') {
        Command::new(source.join(program))
    } else {
        Command::new(program)
    };
    step.args(arguments).current_dir(source);
    // What a caller's build set for itself must not reach the kernel's.
    for variable in ["MAKEFLAGS", "CFLAGS", "LDFLAGS", "CC", "CROSS_COMPILE"] {
        step.env_remove(variable);
    }
    step
}

fn configure(source: &Path) -> Result<()> {
    fs::write(source.join(ASKED_FILE), kernel_config::ASKED)?;
    for words in CONFIGURE {
        watched_child::run(&mut step(source, words), |_| {})?;
    }
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
        step(source, &COMPILE).arg(format!("--jobs={jobs}")),
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
    fn the_name_depends_on_more_than_the_options() {
        assert_eq!(key(), key());
        let patches = PATCHES.iter().map(|patch| patch.text);
        let inputs = [kernel_config::ASKED].into_iter().chain(patches);
        assert_ne!(key(), cache::key(inputs.map(str::as_bytes)));
    }

    #[test]
    fn old_kernels_are_refused() {
        check_version("7.3.4-1~bpo13+1").unwrap();
        check_version("10.0-1").unwrap();
        for version in ["6.12.9-1", "", "x"] {
            assert!(check_version(version).is_err(), "{version}");
        }
    }
}
