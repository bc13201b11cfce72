//! Vulkan devices: what they are, and what they can export and import.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use dmashare::{Fourcc, Modifier, Usage};
use dmashare_vk::ash::vk;
use dmashare_vk::{DeviceError, Instance, PhysicalDevice};
use schemars::JsonSchema;
use serde::Serialize;

/// What a Vulkan device says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct VulkanReport {
    /// Its name.
    pub(super) name: String,
    /// Its UUID, in hexadecimal digits.
    pub(super) uuid: String,
    /// "CPU", "INTEGRATED_GPU", and so on.
    pub(super) device_type: String,
    /// The driver and its version.
    pub(super) driver: String,
    /// The version of Vulkan.
    pub(super) vulkan: String,
    /// Its DRM nodes, as far as it says, as "major:minor".
    pub(super) drm_nodes: Vec<String>,
    /// Extensions and features that exporting needs and that it lacks.
    pub(super) missing_for_export: Vec<&'static str>,
    /// Extensions and features that importing needs and that it lacks.
    pub(super) missing_for_import: Vec<&'static str>,
    /// What it can share.
    pub(super) formats: Vec<VulkanFormat>,
}

/// A format with a modifier that a Vulkan device can export or import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct VulkanFormat {
    /// The four-character code.
    pub(super) format: String,
    /// The modifier.
    pub(super) modifier: String,
    /// Memory planes.
    pub(super) planes: u32,
    /// For which uses it can be exported: "render", "sample".
    pub(super) export: Vec<&'static str>,
    /// For which uses it can be imported.
    pub(super) import: Vec<&'static str>,
    /// The largest image, width and height.
    pub(super) max_extent: [u32; 2],
}

/// The uses that are asked for, one by one.
const USES: [(&str, Usage); 2] = [("render", Usage::RENDER), ("sample", Usage::SAMPLE)];

impl VulkanReport {
    /// Every device of the instance.
    pub(super) fn all(instance: &Instance) -> Result<Vec<(PhysicalDevice, Self)>> {
        let devices = instance.physical_devices()?;
        devices
            .into_iter()
            .map(|device| {
                let report = Self::of(&device)
                    .with_context(|| format!("{} cannot be examined", device.name()))?;
                Ok((device, report))
            })
            .collect()
    }

    fn of(device: &PhysicalDevice) -> Result<Self> {
        let nodes = [device.primary_node(), device.render_node()];
        let version = device.api_version();
        Ok(Self {
            name: device.name().to_owned(),
            uuid: hexadecimal(&device.uuid()),
            device_type: format!("{:?}", device.device_type()),
            driver: format!("{} {}", device.driver_name(), device.driver_info()),
            // VK_API_VERSION_MAJOR and VK_API_VERSION_MINOR.
            vulkan: format!("{}.{}", version >> 22 & 127, version >> 12 & 1023),
            drm_nodes: nodes
                .into_iter()
                .flatten()
                .map(|node| format!("{}:{}", node.major, node.minor))
                .collect(),
            missing_for_export: device.missing_for_export(),
            missing_for_import: device.missing_for_import(),
            formats: formats(device)?,
        })
    }
}

/// Whether an error says that Vulkan, or a device, could not be examined, not that there is none or
/// that it lacks something.
pub(super) fn is_failure(error: &DeviceError) -> bool {
    match error {
        DeviceError::Loader { .. }
        | DeviceError::LoaderVersion { .. }
        | DeviceError::MissingFeature { .. } => false,
        // The loader's answer where no driver is installed.
        DeviceError::Vulkan { source, .. } => *source != vk::Result::ERROR_INCOMPATIBLE_DRIVER,
        _ => true,
    }
}

fn formats(device: &PhysicalDevice) -> Result<Vec<VulkanFormat>> {
    let mut found = BTreeMap::<(Fourcc, Modifier), VulkanFormat>::new();
    for (name, usage) in USES {
        for format in device.formats(usage) {
            for support in device.modifiers(format, usage)? {
                let extent = support.max_extent;
                let entry =
                    found
                        .entry((format, support.modifier))
                        .or_insert_with(|| VulkanFormat {
                            format: format.to_string(),
                            modifier: support.modifier.to_string(),
                            planes: support.plane_count,
                            export: Vec::new(),
                            import: Vec::new(),
                            max_extent: [extent.width, extent.height],
                        });
                entry.export.extend(support.exportable.then_some(name));
                entry.import.extend(support.importable.then_some(name));
            }
        }
    }
    let mut formats: Vec<VulkanFormat> = found.into_values().collect();
    formats.sort_by(|a, b| (&a.format, &a.modifier).cmp(&(&b.format, &b.modifier)));
    Ok(formats)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_no_failure() {
        let told = |source| DeviceError::Vulkan {
            device: "Vulkan".to_owned(),
            operation: "vkCreateInstance",
            source,
        };
        assert!(!is_failure(&told(vk::Result::ERROR_INCOMPATIBLE_DRIVER)));
        assert!(is_failure(&told(vk::Result::ERROR_DEVICE_LOST)));
        let lacks = DeviceError::MissingFeature {
            device: "old".to_owned(),
            missing: "Vulkan 1.2",
        };
        assert!(!is_failure(&lacks));
    }
}
