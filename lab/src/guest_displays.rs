//! The displays of a guest, made through vkms' configfs. The agent makes them itself: each program that
//! a shell script starts costs ten milliseconds in a guest.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};

/// Where vkms is configured.
const CONFIGFS: &str = "/sys/kernel/config/vkms";

/// Planes of a display, with what `type` says of each (`DRM_PLANE_TYPE_…`).
/// Later ones lie over earlier ones.
const PLANES: [(&str, &str); 4] = [
    ("primary", "1"),
    ("overlay", "0"),
    ("overlay-above", "0"),
    ("cursor", "2"),
];

/// Makes `count` displays, each a DRM device of its own: a primary plane, two overlays, a cursor plane, one
/// CRTC with writeback, one connected connector (write 2 or 1 to its `status` to unplug it or plug it in).
///
/// # Errors
/// When the kernel refuses a part of one; it names the part.
pub(crate) fn make(count: u32) -> Result<()> {
    for display in 0..count {
        make_in(&Path::new(CONFIGFS).join(format!("display{display}")))?;
    }
    Ok(())
}

fn make_in(device: &Path) -> Result<()> {
    let folder = |path: &str| {
        let folder = device.join(path);
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))
    };
    let set = |path: &str, value: &str| {
        let file = device.join(path);
        fs::write(&file, value).with_context(|| format!("cannot write {}", file.display()))
    };
    let link = |to: &str, path: &str| {
        let link = device.join(path);
        symlink(device.join(to), &link).with_context(|| format!("cannot link {}", link.display()))
    };
    folder("")?;
    for part in ["crtcs/crtc", "encoders/encoder", "connectors/connector"] {
        folder(part)?;
    }
    set("crtcs/crtc/writeback", "1")?;
    for (plane, kind) in PLANES {
        folder(&format!("planes/{plane}"))?;
        set(&format!("planes/{plane}/type"), kind)?;
        link("crtcs/crtc", &format!("planes/{plane}/possible_crtcs/crtc"))?;
    }
    link("crtcs/crtc", "encoders/encoder/possible_crtcs/crtc")?;
    link(
        "encoders/encoder",
        "connectors/connector/possible_encoders/encoder",
    )?;
    set("connectors/connector/status", "1")?;
    set("enabled", "1")
}
