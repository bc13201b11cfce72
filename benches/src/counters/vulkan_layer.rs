//! A program with the layer that counts its Vulkan calls.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use dmashare_vulkan_calls::{COUNTS_VARIABLE, LAYER, LIBRARY};
use tempfile::TempDir;

use super::program::LAYERS;

/// The layer's manifest and the file that it counts in.
#[derive(Debug)]
pub(super) struct VulkanLayer(TempDir);

impl VulkanLayer {
    /// Writes what the loader needs to find the layer.
    ///
    /// # Errors
    /// The layer was not built, or there is no place for its files.
    pub(super) fn new() -> Result<Self> {
        let folder = tempfile::tempdir().context("no folder for the Vulkan layer's files")?;
        let manifest = serde_json::json!({
            "file_format_version": "1.2.0",
            "layer": {
                "name": LAYER,
                "type": "GLOBAL",
                "library_path": library()?,
                "api_version": "1.4.0",
                "implementation_version": "1",
                "description": "Counts the calls that a program makes",
            },
        });
        let path = folder.path();
        fs::write(path.join("manifest.json"), manifest.to_string())?;
        fs::write(path.join("counts"), [])?;
        Ok(Self(folder))
    }

    /// Makes `program` load this layer alone.
    pub(super) fn add_to(&self, program: &mut Command) {
        program
            .env("VK_ADD_LAYER_PATH", self.0.path())
            .env(LAYERS, LAYER)
            .env(COUNTS_VARIABLE, self.0.path().join("counts"));
    }
}

/// The layer as cargo built it: beside this program, or in `deps` there.
fn library() -> Result<PathBuf> {
    let program = env::current_exe().context("cannot find this program's own file")?;
    let folder = program.parent().context("this program is in no folder")?;
    [folder.join(LIBRARY), folder.join("deps").join(LIBRARY)]
        .into_iter()
        .find(|path| path.exists())
        .with_context(|| format!("{LIBRARY} is not in {}", folder.join("deps").display()))
}
