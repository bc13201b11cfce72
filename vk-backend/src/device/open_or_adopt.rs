//! Opening a `VkDevice`, or adopting one from the application.

use std::any::Any;
use std::ffi::{CStr, CString};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};

use ash::vk;

use crate::core::device_core::{DeviceCore, SyncFdSupport};
use crate::core::queue_lock::QueueLock;
use crate::device::Device;
use crate::error::DeviceError;
use crate::failure::Named;
use crate::physical_device::PhysicalDevice;
use crate::physical_device::extensions::{EXTERNAL_MEMORY_HOST, Functions};
use crate::physical_device::instance::Instance;

/// A device created by the application, with what it enabled; for [`Device::adopt`].
pub struct AdoptedDevice {
    /// The loader's entry points.
    pub entry: ash::Entry,
    /// The instance, created for Vulkan 1.3.
    pub instance: ash::Instance,
    /// The physical device.
    pub physical_device: vk::PhysicalDevice,
    /// The device.
    pub device: ash::Device,
    /// The enabled device extensions.
    pub enabled_extensions: Vec<CString>,
    /// Whether the feature `timelineSemaphore` was enabled; it must be.
    pub timeline_semaphore: bool,
    /// Whether the feature `synchronization2` was enabled; it must be.
    pub synchronization2: bool,
    /// Whether the feature `samplerYcbcrConversion` was enabled, for
    /// [`Image::ycbcr`](crate::Image::ycbcr).
    pub sampler_ycbcr_conversion: bool,
    /// The family of the queue; it must allow transfers.
    pub queue_family: u32,
    /// The queue that this library submits to.
    pub queue: vk::Queue,
    /// The lock that the application also takes whenever it uses the queue.
    pub queue_lock: QueueLock,
    /// Dropped when this library no longer uses the device: after the last handle, image, buffer
    /// and fence. The application may destroy the device after that.
    pub keep_alive: Option<Arc<dyn Any + Send + Sync>>,
}

impl fmt::Debug for AdoptedDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdoptedDevice")
            .field("device", &self.device.handle())
            .field("queue_family", &self.queue_family)
            .field("enabled_extensions", &self.enabled_extensions)
            .finish_non_exhaustive()
    }
}

/// Destroys a new `VkDevice` unless something has taken ownership of it.
struct NewDevice(Option<ash::Device>);

impl Drop for NewDevice {
    fn drop(&mut self) {
        if let Some(device) = self.0.take() {
            // SAFETY: nothing was made on the device.
            unsafe { device.destroy_device(None) };
        }
    }
}

fn sync_fd_support(physical: &PhysicalDevice, functions: &Functions) -> SyncFdSupport {
    if functions.semaphore_fd.is_none() {
        return SyncFdSupport::default();
    }
    let info = vk::PhysicalDeviceExternalSemaphoreInfo::default()
        .handle_type(vk::ExternalSemaphoreHandleTypeFlags::SYNC_FD);
    let mut properties = vk::ExternalSemaphoreProperties::default();
    // SAFETY: the device is of this instance.
    unsafe {
        physical
            .instance()
            .raw()
            .get_physical_device_external_semaphore_properties(
                physical.raw(),
                &info,
                &mut properties,
            );
    }
    let features = properties.external_semaphore_features;
    SyncFdSupport {
        import: features.contains(vk::ExternalSemaphoreFeatureFlags::IMPORTABLE),
        export: features.contains(vk::ExternalSemaphoreFeatureFlags::EXPORTABLE),
    }
}

fn fence_fd_support(physical: &PhysicalDevice, functions: &Functions) -> SyncFdSupport {
    if functions.fence_fd.is_none() {
        return SyncFdSupport::default();
    }
    let info = vk::PhysicalDeviceExternalFenceInfo::default()
        .handle_type(vk::ExternalFenceHandleTypeFlags::SYNC_FD);
    let mut properties = vk::ExternalFenceProperties::default();
    let instance = physical.instance().raw();
    // SAFETY: the device is of this instance.
    unsafe {
        instance.get_physical_device_external_fence_properties(
            physical.raw(),
            &info,
            &mut properties,
        );
    }
    let features = properties.external_fence_features;
    SyncFdSupport {
        import: features.contains(vk::ExternalFenceFeatureFlags::IMPORTABLE),
        export: features.contains(vk::ExternalFenceFeatureFlags::EXPORTABLE),
    }
}

fn missing(physical: &PhysicalDevice, missing: &'static str) -> DeviceError {
    DeviceError::MissingFeature {
        device: physical.name().to_owned(),
        missing,
    }
}

impl Device {
    /// Opens a device with one graphics queue (or a compute queue, if it has no graphics queue).
    /// Enables the sharing extensions that the device supports, the features `timelineSemaphore`
    /// and `synchronization2` and, if supported, `dynamicRendering` and `samplerYcbcrConversion`
    /// (to sample luma and chroma). A missing extension is reported when something needs it:
    /// [`PhysicalDevice::missing_for_export`],
    /// [`ExportError::MissingFeature`](dmashare::ExportError::MissingFeature).
    ///
    /// # Errors
    /// - [`DeviceError::MissingFeature`]: the device lacks Vulkan 1.3 or a suitable queue.
    /// - [`DeviceError::Vulkan`], [`DeviceError::Os`]: a command or a system call failed.
    pub fn open(physical: &PhysicalDevice) -> Result<Self, DeviceError> {
        if physical.api_version() < vk::API_VERSION_1_3 {
            return Err(missing(physical, "Vulkan 1.3"));
        }
        let queue_family = queue_family(physical)?;
        let functions = physical.instance().raw();
        let mut offered_11 = vk::PhysicalDeviceVulkan11Features::default();
        let mut offered_12 = vk::PhysicalDeviceVulkan12Features::default();
        let mut offered_13 = vk::PhysicalDeviceVulkan13Features::default();
        let mut offered = vk::PhysicalDeviceFeatures2::default()
            .push_next(&mut offered_11)
            .push_next(&mut offered_12)
            .push_next(&mut offered_13);
        // SAFETY: the device is of this instance and has Vulkan 1.3.
        unsafe { functions.get_physical_device_features2(physical.raw(), &mut offered) };
        if offered_12.timeline_semaphore != vk::TRUE {
            return Err(missing(physical, "the feature timelineSemaphore"));
        }
        if offered_13.synchronization2 != vk::TRUE {
            return Err(missing(physical, "the feature synchronization2"));
        }
        let mut features_11 = vk::PhysicalDeviceVulkan11Features::default()
            .sampler_ycbcr_conversion(offered_11.sampler_ycbcr_conversion == vk::TRUE);
        let mut features_12 =
            vk::PhysicalDeviceVulkan12Features::default().timeline_semaphore(true);
        let mut features_13 = vk::PhysicalDeviceVulkan13Features::default()
            .synchronization2(true)
            .dynamic_rendering(offered_13.dynamic_rendering == vk::TRUE);
        let enabled = physical.sharing_extensions();
        let is_enabled = |name: &CStr| enabled.contains(&name);
        let names: Vec<_> = enabled.iter().map(|name| name.as_ptr()).collect();
        let queues = [vk::DeviceQueueCreateInfo::default()
            .queue_family_index(queue_family)
            .queue_priorities(&[1.0])];
        let info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&names)
            .push_next(&mut features_11)
            .push_next(&mut features_12)
            .push_next(&mut features_13);
        // SAFETY: only what the device supports is enabled; `info` outlives the call.
        let raw = unsafe { functions.create_device(physical.raw(), &info, None) }
            .named("vkCreateDevice")
            .map_err(|failure| failure.device(physical.name()))?;
        let mut new = NewDevice(Some(raw.clone()));
        // SAFETY: the device was created with one queue of this family.
        let queue = unsafe { raw.get_device_queue(queue_family, 0) };
        let functions = Functions::load(functions, &raw, is_enabled);
        let core = DeviceCore {
            name: format!("Vulkan {}", physical.name()),
            sync_fd: sync_fd_support(physical, &functions),
            fence_fd: fence_fd_support(physical, &functions),
            physical: physical.clone(),
            raw,
            owned: true,
            functions,
            queue,
            queue_family,
            queue_lock: QueueLock::new(),
            sampler_ycbcr_conversion: offered_11.sampler_ycbcr_conversion == vk::TRUE,
            lost: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            allocator: Mutex::new(None),
            bytes_copied: AtomicU64::new(0),
            memory_planes_told_apart: OnceLock::new(),
            instance: physical.instance().clone(),
            _keep_alive: None,
        };
        // The core owns it now.
        new.0 = None;
        Self::with_core(Arc::new(core))
    }

    /// Adopts a device created by the application. It stays the application's: this library
    /// destroys only its own objects on it.
    ///
    /// # Safety
    /// - The handles must be valid and belong together, and the lists must state what was really
    ///   enabled.
    /// - The instance and the device must stay alive until `keep_alive` is dropped (or, without
    ///   one, until every handle, mapping, buffer and fence of this device is dropped).
    /// - The application must hold `queue_lock` whenever it uses the queue; that includes
    ///   `vkDeviceWaitIdle`.
    ///
    /// # Errors
    /// - [`DeviceError::MissingFeature`]: Vulkan 1.3, `timelineSemaphore` or `synchronization2` is
    ///   missing. A missing sharing extension is reported when something needs it.
    /// - [`DeviceError::Vulkan`], [`DeviceError::Os`]: a command or a system call failed.
    pub unsafe fn adopt(adopted: AdoptedDevice) -> Result<Self, DeviceError> {
        let instance = Instance::adopt(adopted.entry, adopted.instance, adopted.keep_alive.clone());
        // SAFETY: the caller guarantees that the handles belong together.
        let physical = unsafe { PhysicalDevice::new(&instance, adopted.physical_device) }?;
        if physical.api_version() < vk::API_VERSION_1_3 {
            return Err(missing(&physical, "Vulkan 1.3"));
        }
        if !adopted.timeline_semaphore {
            return Err(missing(&physical, "the feature timelineSemaphore, enabled"));
        }
        if !adopted.synchronization2 {
            return Err(missing(&physical, "the feature synchronization2, enabled"));
        }
        let functions = Functions::load(instance.raw(), &adopted.device, |name| {
            // The application may have enabled it for its own purposes.
            let is_used = name != EXTERNAL_MEMORY_HOST.name || physical.imports_by_host_pointer();
            is_used
                && adopted
                    .enabled_extensions
                    .iter()
                    .any(|enabled| enabled.as_c_str() == name)
        });
        let core = DeviceCore {
            name: format!("Vulkan {}", physical.name()),
            sync_fd: sync_fd_support(&physical, &functions),
            fence_fd: fence_fd_support(&physical, &functions),
            physical,
            raw: adopted.device,
            owned: false,
            functions,
            queue: adopted.queue,
            queue_family: adopted.queue_family,
            queue_lock: adopted.queue_lock,
            sampler_ycbcr_conversion: adopted.sampler_ycbcr_conversion,
            lost: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            allocator: Mutex::new(None),
            bytes_copied: AtomicU64::new(0),
            memory_planes_told_apart: OnceLock::new(),
            instance,
            _keep_alive: adopted.keep_alive,
        };
        Self::with_core(Arc::new(core))
    }
}

/// The first graphics queue family, otherwise the first compute family; both support transfers.
fn queue_family(physical: &PhysicalDevice) -> Result<u32, DeviceError> {
    // SAFETY: the device is of this instance.
    let families = unsafe {
        physical
            .instance()
            .raw()
            .get_physical_device_queue_family_properties(physical.raw())
    };
    [vk::QueueFlags::GRAPHICS, vk::QueueFlags::COMPUTE]
        .into_iter()
        .find_map(|flags| {
            families
                .iter()
                .position(|family| family.queue_flags.contains(flags) && family.queue_count > 0)
        })
        .and_then(|index| u32::try_from(index).ok())
        .ok_or_else(|| missing(physical, "a queue for graphics or compute"))
}
