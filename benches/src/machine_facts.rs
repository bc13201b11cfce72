//! What a reader must know of the machine on which something was measured.

use std::fs;

use anyhow::Result;
use ash::vk;
use nix::sys::utsname::uname;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{Machine, floor};

/// The machine and its devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineFacts {
    /// The day, as `2026-01-31`, in UTC.
    pub date: String,
    /// The processor's name.
    pub processor: String,
    /// How many of its threads this system has.
    pub processors: usize,
    /// Kibibytes of memory that this system has.
    pub memory_kib: u64,
    /// The kernel's release.
    pub kernel: String,
    /// Whether the kernel is user-mode Linux, in which a system call costs about ten microseconds.
    pub user_mode_linux: bool,
    /// The Vulkan device.
    pub vulkan: VulkanFacts,
    /// The display, if there is one.
    pub card: Option<CardFacts>,
}

/// A Vulkan device and its driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VulkanFacts {
    /// The device's name.
    pub device: String,
    /// What kind of device it is.
    pub kind: String,
    /// The driver's name.
    pub driver: String,
    /// What the driver says of its version.
    pub driver_info: String,
    /// The Vulkan version of the device.
    pub api_version: String,
}

/// A card with a display.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardFacts {
    /// The card's node.
    pub path: String,
    /// The kernel's driver.
    pub driver: String,
}

impl MachineFacts {
    /// Of the machine that the operations run on.
    ///
    /// # Errors
    /// When the kernel does not tell what every kernel tells.
    pub fn of(machine: &Machine) -> Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
        let meminfo = fs::read_to_string("/proc/meminfo")?;
        Ok(Self {
            date: OffsetDateTime::now_utc().date().to_string(),
            processor: processor(&cpuinfo),
            processors: std::thread::available_parallelism()?.get(),
            memory_kib: memory_kib(&meminfo),
            kernel: uname()?.release().display().to_string(),
            user_mode_linux: is_user_mode(&cpuinfo),
            vulkan: VulkanFacts::of(machine.exporter()),
            card: CardFacts::of(machine),
        })
    }
}

impl VulkanFacts {
    fn of(vulkan: &floor::Vulkan) -> Self {
        let mut driver = vk::PhysicalDeviceDriverProperties::default();
        let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut driver);
        // SAFETY: the physical device is of this instance, and both structures are initialised.
        unsafe {
            vulkan
                .instance()
                .get_physical_device_properties2(vulkan.physical_device(), &mut properties);
        }
        let properties = properties.properties;
        let version = properties.api_version;
        let (major, minor) = (
            vk::api_version_major(version),
            vk::api_version_minor(version),
        );
        let text = |text: Result<&std::ffi::CStr, _>| {
            text.map_or_else(
                |_| String::new(),
                |text| text.to_string_lossy().into_owned(),
            )
        };
        Self {
            device: vulkan.name().to_owned(),
            kind: match properties.device_type {
                vk::PhysicalDeviceType::INTEGRATED_GPU => "integrated GPU",
                vk::PhysicalDeviceType::DISCRETE_GPU => "discrete GPU",
                vk::PhysicalDeviceType::VIRTUAL_GPU => "virtual GPU",
                vk::PhysicalDeviceType::CPU => "software, on the CPU",
                _ => "of another kind",
            }
            .to_owned(),
            driver: text(driver.driver_name_as_c_str()),
            driver_info: text(driver.driver_info_as_c_str()),
            api_version: format!("{major}.{minor}.{}", vk::api_version_patch(version)),
        }
    }
}

impl CardFacts {
    fn of(machine: &Machine) -> Option<Self> {
        let path = machine.card_path().ok()?;
        Some(Self {
            path: path.display().to_string(),
            driver: floor::driver_name(machine.card_file().ok()?).ok()?,
        })
    }
}

/// The processor asks itself, because user-mode Linux hides its name.
#[cfg(target_arch = "x86_64")]
fn processor(cpuinfo: &str) -> String {
    let brand = raw_cpuid::CpuId::new().get_processor_brand_string();
    let brand = brand.map(|brand| brand.as_str().trim().to_owned());
    brand.unwrap_or_else(|| model_name(cpuinfo))
}

#[cfg(not(target_arch = "x86_64"))]
fn processor(cpuinfo: &str) -> String {
    model_name(cpuinfo)
}

fn model_name(cpuinfo: &str) -> String {
    let name = value(cpuinfo, "model name").or_else(|| value(cpuinfo, "CPU part"));
    name.unwrap_or("unknown").to_owned()
}

fn is_user_mode(cpuinfo: &str) -> bool {
    value(cpuinfo, "vendor_id") == Some("User Mode Linux")
}

fn memory_kib(meminfo: &str) -> u64 {
    let total = value(meminfo, "MemTotal").and_then(|total| total.strip_suffix(" kB"));
    total.and_then(|total| total.parse().ok()).unwrap_or(0)
}

/// The value of a line `KEY : VALUE`.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == key).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_understood() {
        let guest = "processor\t: 0\nvendor_id\t: User Mode Linux\nmodel name\t: UML\n";
        let host = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: A Processor\n";
        assert!(is_user_mode(guest) && !is_user_mode(host));
        assert_eq!(model_name(host), "A Processor");
        assert_eq!(model_name(""), "unknown");
        assert_eq!(memory_kib("MemTotal:       2048 kB\nMemFree: 1 kB\n"), 2048);
    }

    #[test]
    fn this_machine_has_a_processor_and_memory() {
        let read = |path| fs::read_to_string(path).unwrap();
        assert_ne!(processor(&read("/proc/cpuinfo")), "unknown");
        assert!(memory_kib(&read("/proc/meminfo")) > 1000);
    }
}
