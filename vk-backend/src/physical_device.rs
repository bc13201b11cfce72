//! One of the machine's Vulkan devices, before it is opened.

pub(crate) mod extensions;
pub(crate) mod format;
pub(crate) mod host_pointer_support;
pub(crate) mod image_plan;
pub(crate) mod instance;
pub(crate) mod modifier_support;
pub(crate) mod query_modifiers;
pub(crate) mod select_device;
pub(crate) mod selector;

use std::ffi::{CStr, CString};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ash::vk;

use crate::error::DeviceError;
use crate::failure::Named;
use crate::physical_device::extensions::{
    EXTERNAL_MEMORY_DMA_BUF, EXTERNAL_MEMORY_HOST, Extension, NEEDED, PHYSICAL_DEVICE_DRM, WANTED,
};
use crate::physical_device::instance::Instance;
use crate::physical_device::modifier_support::Answers;
use crate::physical_device::selector::DrmNode;

/// Extension that identifies the driver before Vulkan 1.2.
const DRIVER_PROPERTIES: &CStr = ash::khr::driver_properties::NAME;

/// Whether devices snoop the CPU's caches without explicit synchronization.
const COHERENT: bool = cfg!(any(target_arch = "x86", target_arch = "x86_64"));

struct Inner {
    instance: Instance,
    raw: vk::PhysicalDevice,
    name: String,
    driver_name: String,
    driver_info: String,
    device_type: vk::PhysicalDeviceType,
    api_version: u32,
    uuid: [u8; 16],
    driver_uuid: [u8; 16],
    primary_node: Option<DrmNode>,
    render_node: Option<DrmNode>,
    extensions: Vec<CString>,
    max_buffer_size: u64,
    host_pointer_alignment: usize,
    memory: vk::PhysicalDeviceMemoryProperties,
    answers: Mutex<Answers>,
}

/// One of the machine's Vulkan devices and what it can share. Clones share it.
#[derive(Clone)]
pub struct PhysicalDevice {
    inner: Arc<Inner>,
}

fn node(present: vk::Bool32, major: i64, minor: i64) -> Option<DrmNode> {
    let number = |value: i64| u64::try_from(value).ok();
    (present == vk::TRUE).then_some(DrmNode {
        major: number(major)?,
        minor: number(minor)?,
    })
}

/// Converts a fixed-size name that Vulkan has filled in.
fn text(name: Result<&CStr, impl Sized>) -> String {
    name.map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

impl PhysicalDevice {
    /// Queries the driver for everything that is needed to select and open the device.
    ///
    /// # Safety
    /// `raw` must be of `instance`.
    pub(crate) unsafe fn new(
        instance: &Instance,
        raw: vk::PhysicalDevice,
    ) -> Result<Self, DeviceError> {
        let functions = instance.raw();
        // SAFETY: by the contract of this function, `raw` belongs to `instance`, here and below.
        let extensions = unsafe { functions.enumerate_device_extension_properties(raw) }
            .named("vkEnumerateDeviceExtensionProperties")
            .map_err(|failure| failure.device("Vulkan"))?;
        let extensions: Vec<CString> = extensions
            .iter()
            .filter_map(|extension| extension.extension_name_as_c_str().ok())
            .map(CStr::to_owned)
            .collect();
        let has = |name: &CStr| extensions.iter().any(|known| known.as_c_str() == name);

        // SAFETY: as above.
        let basic = unsafe { functions.get_physical_device_properties(raw) };
        let mut driver = vk::PhysicalDeviceDriverProperties::default();
        let mut ids = vk::PhysicalDeviceIDProperties::default();
        let mut drm = vk::PhysicalDeviceDrmPropertiesEXT::default();
        let mut host = vk::PhysicalDeviceExternalMemoryHostPropertiesEXT::default();
        let mut maintenance_4 = vk::PhysicalDeviceMaintenance4Properties::default();
        // Vulkan 1.1 added both the command and the identifiers.
        if basic.api_version >= vk::API_VERSION_1_1 {
            let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut ids);
            if basic.api_version >= vk::API_VERSION_1_2 || has(DRIVER_PROPERTIES) {
                properties = properties.push_next(&mut driver);
            }
            if basic.api_version >= vk::API_VERSION_1_3 {
                properties = properties.push_next(&mut maintenance_4);
            }
            if has(EXTERNAL_MEMORY_HOST.name) {
                properties = properties.push_next(&mut host);
            }
            if has(PHYSICAL_DEVICE_DRM.name) {
                properties = properties.push_next(&mut drm);
            }
            // SAFETY: the chained structures outlive the call, and the device offers each of them.
            unsafe { functions.get_physical_device_properties2(raw, &mut properties) };
        }
        // SAFETY: as above.
        let memory = unsafe { functions.get_physical_device_memory_properties(raw) };
        Ok(Self {
            inner: Arc::new(Inner {
                instance: instance.clone(),
                raw,
                name: text(basic.device_name_as_c_str()),
                driver_name: text(driver.driver_name_as_c_str()),
                driver_info: text(driver.driver_info_as_c_str()),
                device_type: basic.device_type,
                api_version: basic.api_version,
                uuid: ids.device_uuid,
                driver_uuid: ids.driver_uuid,
                primary_node: node(drm.has_primary, drm.primary_major, drm.primary_minor),
                render_node: node(drm.has_render, drm.render_major, drm.render_minor),
                extensions,
                max_buffer_size: maintenance_4.max_buffer_size,
                host_pointer_alignment: usize::try_from(host.min_imported_host_pointer_alignment)
                    .unwrap_or(usize::MAX),
                memory,
                answers: Mutex::default(),
            }),
        })
    }

    /// The Vulkan handle.
    pub fn raw(&self) -> vk::PhysicalDevice {
        self.inner.raw
    }

    /// The instance it belongs to.
    pub fn instance(&self) -> &Instance {
        &self.inner.instance
    }

    /// The device's name, such as "llvmpipe (LLVM 19.1.7, 256 bits)".
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The driver's name, such as "radv".
    pub fn driver_name(&self) -> &str {
        &self.inner.driver_name
    }

    /// The driver's version, as text.
    pub fn driver_info(&self) -> &str {
        &self.inner.driver_info
    }

    /// Discrete, integrated, virtual or software.
    pub fn device_type(&self) -> vk::PhysicalDeviceType {
        self.inner.device_type
    }

    /// The Vulkan version it supports, as in `vk::make_api_version`.
    pub fn api_version(&self) -> u32 {
        self.inner.api_version
    }

    /// Identifies the device (`deviceUUID`).
    pub fn uuid(&self) -> [u8; 16] {
        self.inner.uuid
    }

    /// Identifies the driver (`driverUUID`).
    pub fn driver_uuid(&self) -> [u8; 16] {
        self.inner.driver_uuid
    }

    /// Its primary DRM node, if the driver reports one (`VK_EXT_physical_device_drm`).
    pub fn primary_node(&self) -> Option<DrmNode> {
        self.inner.primary_node
    }

    /// Its render node, if the driver reports one.
    pub fn render_node(&self) -> Option<DrmNode> {
        self.inner.render_node
    }

    /// The sharing extensions this device supports. [`Device::open`](crate::Device::open) enables
    /// them; an application that creates the `VkDevice` itself should do the same.
    pub fn sharing_extensions(&self) -> Vec<&'static CStr> {
        let wanted = WANTED.iter().map(|extension| extension.name);
        let is_used = |name: &CStr| {
            self.has_extension(name)
                && (name != EXTERNAL_MEMORY_HOST.name || self.imports_by_host_pointer())
        };
        wanted.filter(|name| is_used(name)).collect()
    }

    /// Whether it imports linear images of one plane by a pointer to host memory, because it has no
    /// dma-bufs: a CPU renderer with `VK_EXT_external_memory_host`, on a machine whose devices
    /// snoop the CPU's caches. It takes memory in [`Placement::Host`](dmashare::Placement::Host)
    /// and [`Placement::Shmem`](dmashare::Placement::Shmem) with its driver's own stride;
    /// [`dmashare::route`] makes a shadow for any other buffer. Such a device exports nothing.
    pub fn imports_by_host_pointer(&self) -> bool {
        COHERENT
            && self.device_type() == vk::PhysicalDeviceType::CPU
            && self.api_version() >= vk::API_VERSION_1_3
            && !self.has_extension(EXTERNAL_MEMORY_DMA_BUF.name)
            && self.has_extension(EXTERNAL_MEMORY_HOST.name)
    }

    /// Whether it supports an extension.
    pub fn has_extension(&self, name: &CStr) -> bool {
        self.inner
            .extensions
            .iter()
            .any(|known| known.as_c_str() == name)
    }

    /// The largest buffer size in bytes (`maxBufferSize`); 0 before Vulkan 1.3, where no device is
    /// opened.
    pub(crate) fn max_buffer_size(&self) -> u64 {
        self.inner.max_buffer_size
    }

    /// The alignment in bytes of addresses and sizes of imported host memory
    /// (`minImportedHostPointerAlignment`); 0 if the device has no such import.
    pub(crate) fn host_pointer_alignment(&self) -> usize {
        self.inner.host_pointer_alignment
    }

    pub(crate) fn answers(&self) -> MutexGuard<'_, Answers> {
        // The map changes by single insertions, so a panic leaves it consistent.
        self.inner
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn memory_types(&self) -> &[vk::MemoryType] {
        self.inner.memory.memory_types_as_slice()
    }

    fn missing(&self) -> Vec<&'static str> {
        let version = (self.api_version() < vk::API_VERSION_1_3).then_some("Vulkan 1.3");
        let lacks = |extension: &&Extension| !self.has_extension(extension.name);
        let extensions = NEEDED.iter().filter(lacks).map(|extension| extension.text);
        version.into_iter().chain(extensions).collect()
    }

    /// What it lacks for exporting images; empty if it can export.
    pub fn missing_for_export(&self) -> Vec<&'static str> {
        self.missing()
    }

    /// What it lacks for importing images; empty if it can import, even if only [by host
    /// pointer](Self::imports_by_host_pointer).
    pub fn missing_for_import(&self) -> Vec<&'static str> {
        if self.imports_by_host_pointer() {
            return Vec::new();
        }
        self.missing()
    }
}

impl fmt::Debug for PhysicalDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PhysicalDevice")
            .field("name", &self.inner.name)
            .field("driver", &self.inner.driver_name)
            .field("type", &self.inner.device_type)
            .finish_non_exhaustive()
    }
}
