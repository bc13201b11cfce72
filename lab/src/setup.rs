//! `cargo lab setup`: everything that the other subcommands need.

use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;

use crate::cache::Cache;
use crate::{host_packages, kernel, root_file_system};

/// What a guest is started from.
#[derive(Debug, Serialize)]
pub(crate) struct Built {
    /// The folder with the kernel `linux`, its `config` and its `version`.
    pub(crate) kernel: PathBuf,
    /// The root file system's folder.
    pub(crate) root: PathBuf,
}

/// Makes sure that kernel and root file system are there; builds them if they are not.
///
/// # Errors
/// When a program is missing and cannot be installed, or a build fails.
pub(crate) fn ensure() -> Result<Built> {
    let cache = Cache::open()?;
    let kernel = cache.entry("kernel", &kernel::key());
    let root = cache.entry("root", &root_file_system::key());
    if !kernel.is_dir() || !root.is_dir() {
        host_packages::ensure(&cache)?;
    }
    // The quick one first: if the network does not work, that shows early.
    let root = root_file_system::ensure(&cache)?;
    let kernel = kernel::ensure(&cache)?;
    Ok(Built { kernel, root })
}
