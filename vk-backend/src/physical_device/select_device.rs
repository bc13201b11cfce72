//! The machine's Vulkan devices, and the choice of one by a selector.

use std::error::Error;

use ash::vk;

use crate::error::DeviceError;
use crate::failure::Named;
use crate::physical_device::PhysicalDevice;
use crate::physical_device::instance::Instance;
use crate::physical_device::selector::DeviceSelector;

impl Instance {
    /// Every Vulkan device of the machine, including those that cannot share. A device that its
    /// driver cannot describe is left out, with a warning event.
    ///
    /// # Errors
    /// [`DeviceError::Vulkan`]: the devices cannot be listed.
    pub fn physical_devices(&self) -> Result<Vec<PhysicalDevice>, DeviceError> {
        // SAFETY: the instance is alive.
        let handles = unsafe { self.raw().enumerate_physical_devices() }
            .named("vkEnumeratePhysicalDevices")
            .map_err(|failure| failure.device("Vulkan"))?;
        let described = handles.into_iter().filter_map(|handle| {
            // SAFETY: the handle was just enumerated from this instance.
            let described = unsafe { PhysicalDevice::new(self, handle) };
            described
                .inspect_err(|error| {
                    tracing::warn!(error = error as &dyn Error, "a device is left out");
                })
                .ok()
        });
        Ok(described.collect())
    }

    /// The first device that matches `selector`; with [`DeviceSelector::Any`], the best.
    ///
    /// # Errors
    /// - [`DeviceError::NoSuchDevice`], with the names of the available devices.
    /// - [`DeviceError::Vulkan`] as [`Self::physical_devices`].
    pub fn select(&self, selector: &DeviceSelector) -> Result<PhysicalDevice, DeviceError> {
        let mut devices = self.physical_devices()?;
        devices.sort_by_key(|device| match device.device_type() {
            vk::PhysicalDeviceType::DISCRETE_GPU => 0,
            vk::PhysicalDeviceType::INTEGRATED_GPU => 1,
            vk::PhysicalDeviceType::VIRTUAL_GPU => 2,
            _ => 3,
        });
        let fits = |device: &&PhysicalDevice| match selector {
            DeviceSelector::Any => {
                device.missing_for_export().is_empty() && device.missing_for_import().is_empty()
            }
            DeviceSelector::Name(part) => {
                let part = part.to_lowercase();
                device.name().to_lowercase().contains(&part)
                    || device.driver_name().to_lowercase().contains(&part)
            }
            DeviceSelector::Uuid(uuid) => device.uuid() == *uuid,
            DeviceSelector::DrmNode(node) => {
                device.primary_node() == Some(*node) || device.render_node() == Some(*node)
            }
        };
        match devices.iter().find(fits) {
            Some(device) => Ok(device.clone()),
            None => Err(DeviceError::NoSuchDevice {
                selector: selector.to_string(),
                available: devices.iter().map(describe).collect(),
            }),
        }
    }
}

/// A device's name, with what it lacks for sharing.
fn describe(device: &PhysicalDevice) -> String {
    let missing = device.missing_for_import();
    if missing.is_empty() {
        return device.name().to_owned();
    }
    format!("{} (lacks {})", device.name(), missing.join(", "))
}
