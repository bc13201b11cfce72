//! Displays without hardware: vkms devices created through configfs
//! (`Documentation/gpu/vkms.rst`, "Configuring With Configfs").

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const ROOT: &str = "/sys/kernel/config/vkms";

/// A vkms device with one or more outputs. Dropping this removes the device. Each output has a CRTC
/// with writeback, a primary and an overlay plane, and a connected connector.
#[derive(Debug)]
pub struct VkmsDisplay {
    name: String,
    outputs: usize,
}

impl VkmsDisplay {
    /// Creates a device with one output.
    ///
    /// # Panics
    /// If the kernel has no vkms, or configfs is not mounted.
    pub fn new() -> Self {
        Self::with_outputs(1)
    }

    /// Creates a device with several outputs.
    ///
    /// # Panics
    /// If the kernel has no vkms, or configfs is not mounted.
    pub fn with_outputs(outputs: usize) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("probe-{}-{number}", std::process::id());
        let this = Self { name, outputs };
        if let Err(error) = this.create() {
            crate::missing(ROOT, &error);
        }
        this
    }

    fn create(&self) -> io::Result<()> {
        let device = self.folder();
        fs::create_dir(&device)?;
        for output in 0..self.outputs {
            let crtc = device.join(format!("crtcs/crtc{output}"));
            fs::create_dir(&crtc)?;
            fs::write(crtc.join("writeback"), "1")?;
            for (kind, number) in [("primary", "1"), ("overlay", "0")] {
                let plane = device.join(format!("planes/{kind}{output}"));
                fs::create_dir(&plane)?;
                fs::write(plane.join("type"), number)?;
                symlink(&crtc, plane.join("possible_crtcs/crtc"))?;
            }
            let encoder = device.join(format!("encoders/encoder{output}"));
            fs::create_dir(&encoder)?;
            symlink(&crtc, encoder.join("possible_crtcs/crtc"))?;
            let connector = device.join(format!("connectors/connector{output}"));
            fs::create_dir(&connector)?;
            symlink(&encoder, connector.join("possible_encoders/encoder"))?;
            fs::write(connector.join("status"), "1")?;
        }
        fs::write(device.join("enabled"), "1")
    }

    fn folder(&self) -> PathBuf {
        Path::new(ROOT).join(&self.name)
    }

    /// Path of the device's node, `/dev/dri/cardN`.
    ///
    /// # Panics
    /// If the kernel has created no node.
    pub fn node(&self) -> PathBuf {
        Path::new("/dev/dri").join(format!("card{}", self.minor()))
    }

    /// Number of the device's node, as in `/sys/kernel/debug/dri/N`.
    ///
    /// # Panics
    /// If the kernel has created no node.
    pub fn minor(&self) -> u32 {
        let folder = Path::new("/sys/devices/faux").join(&self.name).join("drm");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => crate::missing(&folder.display().to_string(), &error),
        };
        entries
            .filter_map(|entry| {
                let name = entry.ok()?.file_name().into_string().ok()?;
                name.strip_prefix("card")?.parse().ok()
            })
            .next()
            .unwrap_or_else(|| crate::missing(&folder.display().to_string(), &"no card"))
    }

    /// Name of the device in the list of dma-buf attachments (`debugfs/dma_buf/bufinfo`).
    pub fn device_name(&self) -> &str {
        &self.name
    }

    /// Connects or disconnects an output; the kernel sends a hotplug uevent.
    ///
    /// # Panics
    /// If the kernel refuses the change.
    pub fn plug(&self, output: usize, plugged: bool) {
        let status = self
            .folder()
            .join(format!("connectors/connector{output}/status"));
        if let Err(error) = fs::write(&status, if plugged { "1" } else { "2" }) {
            crate::missing(&status.display().to_string(), &error);
        }
    }

    /// The kernel's own view of the state of the device's planes, CRTCs and connectors
    /// (`/sys/kernel/debug/dri/N/state`).
    ///
    /// # Panics
    /// If debugfs is not mounted.
    pub fn state(&self) -> String {
        let path = format!("/sys/kernel/debug/dri/{}/state", self.minor());
        fs::read_to_string(&path).unwrap_or_else(|error| crate::missing(&path, &error))
    }

    /// Number of framebuffers in the kernel's own list (`/sys/kernel/debug/dri/N/framebuffer`).
    ///
    /// # Panics
    /// If debugfs is not mounted.
    pub fn framebuffers(&self) -> usize {
        let path = format!("/sys/kernel/debug/dri/{}/framebuffer", self.minor());
        fs::read_to_string(&path)
            .unwrap_or_else(|error| crate::missing(&path, &error))
            .lines()
            .filter(|line| line.starts_with("framebuffer["))
            .count()
    }

    /// Waits up to five seconds until the number of framebuffers is `expected`, and returns it. The
    /// worker of a display's last commit holds framebuffers briefly after the card is closed.
    ///
    /// # Panics
    /// If debugfs is not mounted.
    pub fn framebuffers_after_commits(&self, expected: usize) -> usize {
        let begun = Instant::now();
        loop {
            let count = self.framebuffers();
            if count == expected || begun.elapsed() > Duration::from_secs(5) {
                return count;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn remove(&self) -> io::Result<()> {
        let device = self.folder();
        fs::write(device.join("enabled"), "0")?;
        for output in 0..self.outputs {
            let connector = device.join(format!("connectors/connector{output}"));
            fs::remove_file(connector.join("possible_encoders/encoder"))?;
            fs::remove_dir(&connector)?;
            let encoder = device.join(format!("encoders/encoder{output}"));
            fs::remove_file(encoder.join("possible_crtcs/crtc"))?;
            fs::remove_dir(&encoder)?;
            for kind in ["primary", "overlay"] {
                let plane = device.join(format!("planes/{kind}{output}"));
                fs::remove_file(plane.join("possible_crtcs/crtc"))?;
                fs::remove_dir(&plane)?;
            }
            fs::remove_dir(device.join(format!("crtcs/crtc{output}")))?;
        }
        fs::remove_dir(&device)
    }
}

impl Default for VkmsDisplay {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for VkmsDisplay {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            // The guest ends with the test anyway, and a second panic would hide the first failure.
            assert!(
                std::thread::panicking(),
                "vkms display {} could not be removed: {error}",
                self.name
            );
        }
    }
}
