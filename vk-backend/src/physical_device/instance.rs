//! The Vulkan instance.

use std::any::Any;
use std::ffi::CString;
use std::fmt;
use std::sync::Arc;

use ash::vk;

use crate::error::DeviceError;
use crate::failure::Named;

/// Options for [`Instance::new`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InstanceOptions {
    /// The application's name, for drivers and tools.
    pub application_name: CString,
    /// Instance extensions that the application needs. This library needs none.
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
    /// Options with the application's name and without extensions. The name ends at its first zero
    /// byte.
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
    // keep alive.
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

/// A Vulkan 1.3 instance. Clones share it, and every device made from it keeps it alive.
#[derive(Clone)]
pub struct Instance {
    inner: Arc<Inner>,
}

impl Instance {
    /// Loads the Vulkan loader (`libvulkan.so.1`) and creates an instance. The environment chooses
    /// the layers (`VK_INSTANCE_LAYERS`).
    ///
    /// # Errors
    /// - [`DeviceError::Loader`], [`DeviceError::LoaderVersion`]: the loader is missing or too old.
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

    /// Wraps the application's instance, which it destroys after `keep_alive` is dropped.
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

    /// The instance, for the application's own calls. This library destroys it.
    pub fn raw(&self) -> &ash::Instance {
        &self.inner.raw
    }

    /// The loader's entry points.
    pub fn entry(&self) -> &ash::Entry {
        &self.inner.entry
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
