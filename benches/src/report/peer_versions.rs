//! Which versions of others were measured.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// A crate through which another way was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerVersion {
    /// The crate's name.
    pub name: String,
    /// The version in Cargo.lock.
    pub version: String,
}

/// Those that may be linked for a comparison, and ash, which everyone here uses.
const CRATES: [&str; 4] = ["ash", "gbm", "smithay", "wgpu"];

/// What the Cargo.lock at `path` says of the peers.
///
/// # Errors
/// When the file cannot be read.
pub fn peer_versions(path: &Path) -> Result<Vec<PeerVersion>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(versions(&text))
}

fn versions(lock: &str) -> Vec<PeerVersion> {
    let packages = lock.split("[[package]]").skip(1);
    let value = |package: &str, key: &str| {
        let mut lines = package.lines();
        let text = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))?;
        Some(text.trim_end_matches('"').to_owned())
    };
    let versions = packages.filter_map(|package| {
        let name = value(package, "name").filter(|name| CRATES.contains(&name.as_str()))?;
        let version = value(package, "version")?;
        Some(PeerVersion { name, version })
    });
    versions.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock = "version = 4\n\n[[package]]\nname = \"anyhow\"\nversion = \"1.0.1\"\n\n\
            [[package]]\nname = \"ash\"\nversion = \"0.38.0\"\nsource = \"registry\"\n\n\
            [[package]]\nname = \"wgpu\"\nversion = \"29.0.0\"\n";
        let versions = versions(lock);
        let versions: Vec<_> = versions
            .iter()
            .map(|peer| (&*peer.name, &*peer.version))
            .collect();
        assert_eq!(versions, [("ash", "0.38.0"), ("wgpu", "29.0.0")]);
    }
}
