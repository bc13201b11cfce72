//! The Vulkan instance.

use std::any::Any;
use std::error::Error;
use std::ffi::{CStr, CString};
use std::fmt;
use std::sync::Arc;

use ash::vk;

use crate::error::{DeviceError, Named};
use crate::physical_device::PhysicalDevice;
use crate::physical_device::selector::DeviceSelector;

/// How to make an instance.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InstanceOptions {
    /// The application's name, for drivers and tools.
    pub application_name: CString,
    /// Instance extensions that the application itself needs. This library needs none.
    pub extensions: Vec<CString>,
}

impl Default for InstanceOptions {
    fn default() -> Self {
        Self {
            application_name: c"dmashare".to_owned(),
            extensions: Vec::new(),
        }
    }
}

impl InstanceOptions {
    /// Options with the application's name, and no extensions. A zero byte and what follows it are
    /// left out of the name.
    pub fn new(application_name: &str) -> Self {
        let end = application_name
            .find('\0')
            .unwrap_or(application_name.len());
        Self {
            application_name: CString::new(&application_name[..end]).unwrap_or_default(),
            ..Self::default()
        }
    }
}

struct Inner {
    raw: ash::Instance,
    owned: bool,
    // Dropped after the instance: the loader's library, and what an adopting application asked to
    // be kept.
    entry: ash::Entry,
    _keep_alive: Option<Arc<dyn Any + Send + Sync>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.owned {
            // SAFETY: every object made from the instance holds a clone of this `Arc`, so the last
            // of them is gone.
            unsafe { self.raw.destroy_instance(None) };
        }
    }
}

/// A Vulkan instance; version 1.3 is asked for. Clones share it, and every device made from it keeps
/// it alive.
#[derive(Clone)]
pub struct Instance {
    inner: Arc<Inner>,
}

impl Instance {
    /// Loads the Vulkan loader (`libvulkan.so.1`) and makes an instance. Layers are left to the
    /// environment (`VK_INSTANCE_LAYERS`).
    ///
    /// # Errors
    /// - [`DeviceError::Loader`], [`DeviceError::LoaderVersion`]: there is no loader, or an old one.
    /// - [`DeviceError::Vulkan`]: `vkCreateInstance` failed.
    pub fn new(options: &InstanceOptions) -> Result<Self, DeviceError> {
        // SAFETY: loading the system's Vulkan loader runs its initialisers, which every Vulkan
        // program relies on; functions from it are called only while `entry` lives (see `Inner`).
        let entry =
            unsafe { ash::Entry::load() }.map_err(|source| DeviceError::Loader { source })?;
        // SAFETY: no precondition.
        let version = unsafe { entry.try_enumerate_instance_version() }
            .named("vkEnumerateInstanceVersion")
            .map_err(|failure| failure.device("Vulkan"))?
            .unwrap_or(vk::API_VERSION_1_0);
        if version < vk::API_VERSION_1_3 {
            return Err(DeviceError::LoaderVersion {
                major: vk::api_version_major(version),
                minor: vk::api_version_minor(version),
            });
        }
        let application = vk::ApplicationInfo::default()
            .application_name(&options.application_name)
            .engine_name(c"dmashare")
            .api_version(vk::API_VERSION_1_3);
        let extensions: Vec<_> = options
            .extensions
            .iter()
            .map(|name| name.as_ptr())
            .collect();
        let info = vk::InstanceCreateInfo::default()
            .application_info(&application)
            .enabled_extension_names(&extensions);
        // SAFETY: `info` and all it points to outlive the call.
        let raw = unsafe { entry.create_instance(&info, None) }
            .named("vkCreateInstance")
            .map_err(|failure| failure.device("Vulkan"))?;
        Ok(Self {
            inner: Arc::new(Inner {
                raw,
                owned: true,
                entry,
                _keep_alive: None,
            }),
        })
    }

    /// Wraps an instance that the application made and destroys, after `keep_alive` was dropped.
    pub(crate) fn adopt(
        entry: ash::Entry,
        raw: ash::Instance,
        keep_alive: Option<Arc<dyn Any + Send + Sync>>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                raw,
                owned: false,
                entry,
                _keep_alive: keep_alive,
            }),
        }
    }

    /// The instance, for the application's own calls. It stays this library's.
    pub fn raw(&self) -> &ash::Instance {
        &self.inner.raw
    }

    /// The loader's entry points.
    pub fn entry(&self) -> &ash::Entry {
        &self.inner.entry
    }

    /// Every Vulkan device of the machine, also those that can share nothing. One that its driver
    /// cannot describe is left out, with a warning event.
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

    /// The device that `selector` selects.
    ///
    /// # Errors
    /// - [`DeviceError::NoSuchDevice`] with the names of those that are there.
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

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("raw", &self.inner.raw.handle())
            .field("owned", &self.inner.owned)
            .finish_non_exhaustive()
    }
}

/// A device's name, with what it lacks to share.
fn describe(device: &PhysicalDevice) -> String {
    let missing = device.missing_for_import();
    if missing.is_empty() {
        return device.name().to_owned();
    }
    format!("{} (lacks {})", device.name(), missing.join(", "))
}

/// The text of a fixed-size name that Vulkan filled in.
pub(crate) fn text(name: Result<&CStr, impl Sized>) -> String {
    name.map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}
