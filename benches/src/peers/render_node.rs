//! Which DRM render node is the Vulkan device's own.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use ash::{ext, vk};

use crate::floor::Vulkan;

/// The render node of the device, by VK_EXT_physical_device_drm: none for a driver on the CPU.
///
/// # Errors
/// When Vulkan does not answer, or the node is not below `/dev/dri`.
pub(super) fn render_node(vulkan: &Vulkan) -> Result<Option<PathBuf>> {
    let instance = vulkan.instance();
    let physical_device = vulkan.physical_device();
    // SAFETY: the physical device is of this instance.
    let extensions = unsafe { instance.enumerate_device_extension_properties(physical_device) }?;
    let known = extensions
        .iter()
        .any(|extension| extension.extension_name_as_c_str() == Ok(ext::physical_device_drm::NAME));
    if !known {
        return Ok(None);
    }
    let mut drm = vk::PhysicalDeviceDrmPropertiesEXT::default();
    let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut drm);
    // SAFETY: the device has the extension of the chain.
    unsafe { instance.get_physical_device_properties2(physical_device, &mut properties) };
    if drm.has_render == vk::FALSE {
        return Ok(None);
    }
    let wanted = nix::libc::makedev(
        u32::try_from(drm.render_major)?,
        u32::try_from(drm.render_minor)?,
    );
    let node = fs::read_dir("/dev/dri")
        .context("/dev/dri")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| fs::metadata(path).is_ok_and(|node| node.rdev() == wanted));
    Ok(Some(node.context("the device's render node is not here")?))
}
