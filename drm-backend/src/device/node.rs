//! The device nodes in `/dev/dri`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::device::DrmDevice;
use crate::error::OpenError;

const DIRECTORY: &str = "/dev/dri";

/// Type of a device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeKind {
    /// `cardN`: mode setting and dumb buffers.
    Primary,
    /// `renderDN`: rendering without mode setting.
    Render,
}

/// A DRM device node.
#[derive(Clone, Debug)]
pub struct Node {
    path: PathBuf,
    kind: NodeKind,
    driver: String,
    number: (u64, u64),
}

impl Node {
    /// All nodes that can be opened, primary nodes first, by number. The list is empty without
    /// `/dev/dri`. This opens each node and immediately closes it; if a primary node has no DRM master,
    /// this process is its master for that moment.
    pub fn list() -> Vec<Self> {
        let mut nodes: Vec<(NodeKind, u32, PathBuf)> = fs::read_dir(DIRECTORY)
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let name = path.file_name()?.to_str()?;
                let (kind, number) = if let Some(number) = name.strip_prefix("card") {
                    (NodeKind::Primary, number)
                } else {
                    (NodeKind::Render, name.strip_prefix("renderD")?)
                };
                let number = number.parse().ok()?;
                Some((kind, number, path))
            })
            .collect();
        nodes.sort_by_key(|(kind, number, _)| (*kind == NodeKind::Render, *number));
        nodes
            .into_iter()
            .filter_map(|(kind, _, path)| match DrmDevice::open(&path) {
                Ok(device) => Some(Self {
                    kind,
                    driver: device.driver().to_owned(),
                    number: device.number(),
                    path,
                }),
                Err(error) => {
                    tracing::debug!(%error, path = %path.display(), "skipping a DRM node");
                    None
                }
            })
            .collect()
    }

    /// The primary nodes of devices with this driver ("vgem", "vkms", "amdgpu").
    pub fn of_driver(driver: &str) -> Vec<Self> {
        Self::list()
            .into_iter()
            .filter(|node| node.kind == NodeKind::Primary && node.driver == driver)
            .collect()
    }

    /// Path of the node.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Type of the node.
    pub fn kind(&self) -> NodeKind {
        self.kind
    }

    /// Name of the driver.
    pub fn driver(&self) -> &str {
        &self.driver
    }

    /// Major and minor device number.
    pub fn device_number(&self) -> (u64, u64) {
        self.number
    }
}

/// Paths of the primary nodes, by number. This does not open them.
pub(crate) fn primary_paths() -> Result<Vec<PathBuf>, OpenError> {
    let entries = match fs::read_dir(DIRECTORY) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            return Err(OpenError::Open {
                path: DIRECTORY.into(),
                source,
            });
        }
    };
    let mut paths: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let number = path.file_name()?.to_str()?.strip_prefix("card")?;
            Some((number.parse().ok()?, path.clone()))
        })
        .collect();
    paths.sort();
    Ok(paths.into_iter().map(|(_, path)| path).collect())
}
