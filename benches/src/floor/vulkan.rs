//! A Vulkan device, opened with ash alone.

use std::ffi::CStr;
use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use ash::{ext, khr, vk};

/// The device extensions that sharing images as dma-bufs takes.
pub const EXTENSIONS: [&CStr; 5] = [
    khr::external_memory_fd::NAME,
    ext::external_memory_dma_buf::NAME,
    ext::image_drm_format_modifier::NAME,
    ext::queue_family_foreign::NAME,
    khr::external_semaphore_fd::NAME,
];

/// An instance, a device and its one queue. All go when this is dropped.
pub struct Vulkan {
    pub(super) device: ash::Device,
    pub(super) memory_fd: khr::external_memory_fd::Device,
    pub(super) modifier: ext::image_drm_format_modifier::Device,
    pub(super) semaphore_fd: khr::external_semaphore_fd::Device,
    pub(super) memory_types: vk::PhysicalDeviceMemoryProperties,
    name: String,
    queue_family: u32,
    queue: vk::Queue,
    physical_device: vk::PhysicalDevice,
    instance: ash::Instance,
    // Holds the loaded library, so it is dropped last.
    entry: ash::Entry,
}

/// An instance until its device is there: destroyed on every early return.
struct PendingInstance(Option<ash::Instance>);

impl Drop for PendingInstance {
    fn drop(&mut self) {
        if let Some(instance) = &self.0 {
            // SAFETY: no object of this instance exists: the device is created last.
            unsafe { instance.destroy_instance(None) };
        }
    }
}

impl Vulkan {
    /// Opens the first device that can share images as dma-bufs with modifiers and whose name has
    /// `name` in it.
    ///
    /// # Errors
    /// When there is no Vulkan or no such device; it says what each device lacks.
    pub fn open(name: &str) -> Result<Arc<Self>> {
        // SAFETY: libvulkan's initialisers may run at any time; nothing else loads it concurrently
        // in a way that matters to it.
        let entry = unsafe { ash::Entry::load() }.map_err(|error| {
            anyhow!("no Vulkan here ({error}); `cargo lab bench` brings its own")
        })?;
        let application = vk::ApplicationInfo::default()
            .application_name(c"dmashare-bench")
            .api_version(vk::API_VERSION_1_3);
        let create = vk::InstanceCreateInfo::default().application_info(&application);
        // SAFETY: the create info is valid and outlives the call.
        let instance = unsafe { entry.create_instance(&create, None) }
            .context("vkCreateInstance failed; is a Vulkan driver installed?")?;
        let mut pending = PendingInstance(Some(instance.clone()));
        let (physical_device, name) = choose(&instance, name)?;
        let queue_family = graphics_queue_family(&instance, physical_device)?;
        let device = create_device(&instance, physical_device, queue_family)?;
        pending.0 = None;
        // SAFETY: the family was asked for one queue, index 0.
        let queue = unsafe { device.get_device_queue(queue_family, 0) };
        // SAFETY: the physical device is of this instance.
        let memory_types =
            unsafe { instance.get_physical_device_memory_properties(physical_device) };
        Ok(Arc::new(Self {
            memory_fd: khr::external_memory_fd::Device::new(&instance, &device),
            modifier: ext::image_drm_format_modifier::Device::new(&instance, &device),
            semaphore_fd: khr::external_semaphore_fd::Device::new(&instance, &device),
            device,
            memory_types,
            name,
            queue_family,
            queue,
            physical_device,
            instance,
            entry,
        }))
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The loaded library.
    pub fn entry(&self) -> &ash::Entry {
        &self.entry
    }

    /// The instance.
    pub fn instance(&self) -> &ash::Instance {
        &self.instance
    }

    /// The physical device.
    pub fn physical_device(&self) -> vk::PhysicalDevice {
        self.physical_device
    }

    /// The device.
    pub fn device(&self) -> &ash::Device {
        &self.device
    }

    /// The queue, and its family.
    pub fn queue(&self) -> (vk::Queue, u32) {
        (self.queue, self.queue_family)
    }

    /// Waits until the queue has nothing left to do.
    pub(super) fn rest(&self) {
        // SAFETY: nobody uses the queue meanwhile: all that uses one device is on one thread. A device
        // that is lost has nothing left, either.
        let _ = unsafe { self.device.queue_wait_idle(self.queue) };
    }

    /// A timeline semaphore at 0, the caller's to destroy.
    pub(super) fn timeline_semaphore(&self) -> Result<vk::Semaphore> {
        let mut timeline = vk::SemaphoreTypeCreateInfo::default()
            .semaphore_type(vk::SemaphoreType::TIMELINE)
            .initial_value(0);
        let create = vk::SemaphoreCreateInfo::default().push_next(&mut timeline);
        // SAFETY: the device was made with timeline semaphores.
        Ok(unsafe { self.device.create_semaphore(&create, None) }?)
    }

    /// A memory type of those in `bits` that the CPU reads and writes fast, and sees what the device
    /// has done without a flush.
    pub(super) fn host_memory_type(&self, bits: u32) -> Result<u32> {
        let wanted = vk::MemoryPropertyFlags::HOST_VISIBLE
            | vk::MemoryPropertyFlags::HOST_CACHED
            | vk::MemoryPropertyFlags::HOST_COHERENT;
        (0..)
            .zip(self.memory_types.memory_types_as_slice())
            .find(|(index, kind)| bits & (1 << index) != 0 && kind.property_flags.contains(wanted))
            .map(|(index, _)| index)
            .with_context(|| format!("no memory type of {bits:#b} is cached and coherent"))
    }

    /// The first device-local memory type of those in `bits`, or the first of them.
    pub(super) fn memory_type(&self, bits: u32) -> Result<u32> {
        let allowed = || {
            (0..)
                .zip(self.memory_types.memory_types_as_slice())
                .filter(|(index, _)| bits & (1 << index) != 0)
        };
        let local = vk::MemoryPropertyFlags::DEVICE_LOCAL;
        allowed()
            .find(|(_, kind)| kind.property_flags.contains(local))
            .or_else(|| allowed().next())
            .map(|(index, _)| index)
            .with_context(|| format!("no memory type of {bits:#b} exists"))
    }
}

impl Drop for Vulkan {
    fn drop(&mut self) {
        // SAFETY: everything made from the device holds this `Vulkan`, so nothing of it is left.
        unsafe { self.device.destroy_device(None) };
        // SAFETY: its only device was destroyed above.
        unsafe { self.instance.destroy_instance(None) };
    }
}

impl fmt::Debug for Vulkan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vulkan")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The first physical device that has what sharing takes, with its name.
fn choose(instance: &ash::Instance, wanted: &str) -> Result<(vk::PhysicalDevice, String)> {
    // SAFETY: the instance is valid.
    let all = unsafe { instance.enumerate_physical_devices() }
        .context("vkEnumeratePhysicalDevices failed")?;
    let mut refused = Vec::new();
    for physical_device in all {
        // SAFETY: the physical device is of this instance.
        let properties = unsafe { instance.get_physical_device_properties(physical_device) };
        let name = properties
            .device_name_as_c_str()
            .unwrap_or(c"unnamed")
            .to_string_lossy()
            .into_owned();
        // SAFETY: as above.
        let extensions =
            unsafe { instance.enumerate_device_extension_properties(physical_device) }?;
        let missing: Vec<_> = EXTENSIONS
            .iter()
            .filter(|wanted| {
                !extensions
                    .iter()
                    .any(|has| has.extension_name_as_c_str() == Ok(**wanted))
            })
            .map(|extension| extension.to_string_lossy())
            .collect();
        if !missing.is_empty() {
            refused.push(format!("{name} lacks {}", missing.join(", ")));
        } else if properties.api_version < vk::API_VERSION_1_3 {
            refused.push(format!("{name} lacks Vulkan 1.3"));
        } else if !name.contains(wanted) {
            refused.push(format!("{name} was not asked for"));
        } else {
            return Ok((physical_device, name));
        }
    }
    bail!(
        "no Vulkan device here can share images as dma-bufs with modifiers: {}; `cargo lab bench` \
         brings one",
        if refused.is_empty() {
            "there is none".to_owned()
        } else {
            refused.join("; ")
        }
    )
}

fn graphics_queue_family(
    instance: &ash::Instance,
    physical_device: vk::PhysicalDevice,
) -> Result<u32> {
    // SAFETY: the physical device is of this instance.
    let families = unsafe { instance.get_physical_device_queue_family_properties(physical_device) };
    let family = families
        .iter()
        .position(|family| family.queue_flags.contains(vk::QueueFlags::GRAPHICS))
        .context("the device has no graphics queue")?;
    Ok(u32::try_from(family)?)
}

fn create_device(
    instance: &ash::Instance,
    physical_device: vk::PhysicalDevice,
    queue_family: u32,
) -> Result<ash::Device> {
    let queue = [vk::DeviceQueueCreateInfo::default()
        .queue_family_index(queue_family)
        .queue_priorities(&[1.0])];
    let extensions = EXTENSIONS.map(CStr::as_ptr);
    let mut vulkan12 = vk::PhysicalDeviceVulkan12Features::default().timeline_semaphore(true);
    let mut vulkan13 = vk::PhysicalDeviceVulkan13Features::default()
        .synchronization2(true)
        .dynamic_rendering(true);
    let create = vk::DeviceCreateInfo::default()
        .queue_create_infos(&queue)
        .enabled_extension_names(&extensions)
        .push_next(&mut vulkan12)
        .push_next(&mut vulkan13);
    // SAFETY: the extensions were found on the device, and every Vulkan 1.3 device has the features.
    unsafe { instance.create_device(physical_device, &create, None) }
        .context("vkCreateDevice failed")
}
