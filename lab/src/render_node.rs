//! Whether this machine has a GPU.

use std::fs;
use std::path::Path;

/// Drivers whose render nodes have no GPU behind them. Kernels from 6.14 on give virtual devices the
/// driver of the faux bus.
const VIRTUAL: [&str; 3] = ["faux_driver", "vgem", "vkms"];

/// A GPU's render node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RenderNode {
    /// Its name in /dev/dri.
    pub(crate) name: String,
    /// The kernel's driver.
    pub(crate) driver: String,
}

/// The first render node of this machine that a GPU is behind.
pub(crate) fn find() -> Option<RenderNode> {
    find_in(Path::new("/dev/dri"), Path::new("/sys/class/drm"))
}

fn find_in(nodes: &Path, class: &Path) -> Option<RenderNode> {
    let names = fs::read_dir(nodes).ok()?;
    let mut names: Vec<String> = names
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("renderD"))
        .collect();
    names.sort();
    names.into_iter().find_map(|name| {
        let driver = fs::read_link(class.join(&name).join("device/driver")).ok()?;
        let driver = driver.file_name()?.to_str()?.to_owned();
        (!VIRTUAL.contains(&driver.as_str())).then_some(RenderNode { name, driver })
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_render_node_counts_if_a_gpu_is_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let (nodes, class) = (folder.path().join("dri"), folder.path().join("drm"));
        assert_eq!(find_in(&nodes, &class), None);
        fs::create_dir(&nodes).unwrap();
        let add = |name: &str, driver: Option<&str>| {
            fs::write(nodes.join(name), "").unwrap();
            let device = class.join(name).join("device");
            fs::create_dir_all(&device).unwrap();
            if let Some(driver) = driver {
                symlink(format!("../bus/drivers/{driver}"), device.join("driver")).unwrap();
            }
        };
        add("card0", Some("i915"));
        add("renderD128", Some("vgem"));
        add("renderD129", Some("faux_driver"));
        add("renderD130", None);
        assert_eq!(find_in(&nodes, &class), None);
        add("renderD131", Some("amdgpu"));
        let found = find_in(&nodes, &class).unwrap();
        assert_eq!((&*found.name, &*found.driver), ("renderD131", "amdgpu"));
    }
}
