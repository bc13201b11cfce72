//! Runs a scenario with the first, second, third … Vulkan command failing, and looks at what is left.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::error::Error;
use std::ffi::CString;

use dmashare_lab_probe::{bufinfo, open_files};
use dmashare_vk::ash::{self, vk};
use dmashare_vk::{AdoptedDevice, Device, DeviceError, DeviceSelector, Instance, QueueLock};

use crate::function_table::{self, Fault};
use crate::support::{self, alone};

pub type Outcome = Result<(), Box<dyn Error>>;

/// A `VkDevice` as an application makes one, destroyed by the application.
pub struct Application {
    instance: Instance,
    shimmed_instance: ash::Instance,
    physical_device: vk::PhysicalDevice,
    device: ash::Device,
    extensions: Vec<CString>,
}

impl Application {
    pub fn new(instance: &Instance) -> Self {
        Self::on(instance, &DeviceSelector::Any)
    }

    pub fn on(instance: &Instance, selector: &DeviceSelector) -> Self {
        let physical = instance.select(selector).unwrap();
        let extensions = physical.sharing_extensions();
        let names: Vec<_> = extensions.iter().map(|name| name.as_ptr()).collect();
        let mut features_12 =
            vk::PhysicalDeviceVulkan12Features::default().timeline_semaphore(true);
        let mut features_13 = vk::PhysicalDeviceVulkan13Features::default().synchronization2(true);
        let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
        let info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&names)
            .push_next(&mut features_12)
            .push_next(&mut features_13);
        // SAFETY: the lab's device offers all of it; `info` outlives the call.
        let device = unsafe { instance.raw().create_device(physical.raw(), &info, None) }.unwrap();
        Self {
            shimmed_instance: function_table::instance(instance.entry(), instance.raw().handle()),
            instance: instance.clone(),
            physical_device: physical.raw(),
            device,
            extensions: extensions.into_iter().map(ToOwned::to_owned).collect(),
        }
    }

    pub fn adopted(&self) -> AdoptedDevice {
        // SAFETY: the device was made with one queue of family 0.
        let queue = unsafe { self.device.get_device_queue(0, 0) };
        AdoptedDevice {
            entry: self.instance.entry().clone(),
            instance: self.shimmed_instance.clone(),
            physical_device: self.physical_device,
            device: function_table::device(self.device.handle()),
            enabled_extensions: self.extensions.clone(),
            timeline_semaphore: true,
            synchronization2: true,
            sampler_ycbcr_conversion: false,
            queue_family: 0,
            queue,
            queue_lock: QueueLock::new(),
            keep_alive: None,
        }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        // SAFETY: the library has let go of the device.
        unsafe { self.device.destroy_device(None) };
    }
}

/// How the library comes to its device.
#[derive(Clone, Copy)]
pub enum Start {
    Adopt,
    Open,
}

impl Start {
    /// A function that gets a device, by commands that may fail.
    fn prepare(self, application: &Application) -> impl Fn() -> Result<Device, DeviceError> {
        let adopt = || {
            // SAFETY: the handles belong together, and nobody else uses the queue.
            unsafe { Device::adopt(application.adopted()) }
        };
        let physical = match self {
            Self::Adopt => None,
            Self::Open => Some(adopt().unwrap().physical_device().clone()),
        };
        move || match &physical {
            None => adopt(),
            Some(physical) => Device::open(physical),
        }
    }
}

/// Everything that the library does with a device, from its making to the last drop.
fn scenario(
    start: impl Fn() -> Result<Device, DeviceError>,
    use_device: fn(&Device) -> Outcome,
) -> Outcome {
    let device = start()?;
    let result = use_device(&device);
    device.dispatch();
    result
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

/// Looks whether something is over.
const COUNTER: &str = "vkGetSemaphoreCounterValue";

/// Commands whose failure need not be an error: whether something is over is asked again later, the
/// last waits have a second way, and gpu-allocator tries another block or memory type.
pub const ENDURED: [&str; 6] = [
    COUNTER,
    "vkAllocateMemory",
    "vkMapMemory",
    "vkWaitSemaphores",
    "vkQueueWaitIdle",
    "vkDeviceWaitIdle",
];

/// Runs the scenario with the first, second, third … command failing, until none fails any more.
pub fn fail_each(
    start: Start,
    fault: Fault,
    use_device: fn(&Device) -> Outcome,
) -> Vec<&'static str> {
    let _alone = alone();
    let instance = support::instance();
    let application = || Application::new(&instance);
    fail_each_on(&application, start, fault, &ENDURED, use_device)
}

/// Fails each command in turn until all of `tried` were, and returns those that were. How often the
/// queue's counter is looked at depends on how far its work is, so one sweep's nth command may be
/// another's next one, and a sweep may step over one that is made but once or twice: then the sweep is
/// made again, up to five times.
pub fn try_all(
    start: Start,
    fault: Fault,
    tried: &[&str],
    use_device: fn(&Device) -> Outcome,
) -> Vec<&'static str> {
    let mut failed = Vec::new();
    for _ in 0..5 {
        failed.extend(fail_each(start, fault, use_device));
        if tried.iter().all(|command| failed.contains(command)) {
            return failed;
        }
    }
    let missing = tried.iter().filter(|command| !failed.contains(*command));
    panic!("{:?} were never tried", missing.collect::<Vec<_>>());
}

/// [`fail_each`] on a device of the caller's choice, with the caller's list of commands whose failure need
/// not be an error. The caller is [`alone`].
pub fn fail_each_on(
    application: &dyn Fn() -> Application,
    start: Start,
    fault: Fault,
    endured: &[&str],
    use_device: fn(&Device) -> Outcome,
) -> Vec<&'static str> {
    // The first device leaves a few descriptors with the instance.
    let first = application();
    scenario(start.prepare(&first), use_device).unwrap();
    drop(first);
    let mut failed = Vec::new();
    for nth in 1.. {
        let before = (open_files(), bufinfo());
        let application = application();
        let prepared = start.prepare(&application);
        function_table::arm(nth, fault);
        let result = scenario(prepared, use_device);
        let injected = function_table::disarm();
        let what = format!("command {nth} ({injected:?}) with {fault:?}");
        let (live, unbalanced) = function_table::left_over();
        assert_eq!(live, [], "{what}: left behind");
        assert_eq!(unbalanced, Vec::<String>::new(), "{what}: destroyed twice");
        // The driver's own thread closes a sync_file some time after the work that waited for it is
        // over, at the latest when the device goes.
        drop(application);
        assert_eq!((open_files(), bufinfo()), before, "{what}: {result:?}");
        let Some(injected) = injected else {
            result.unwrap();
            return failed;
        };
        match result {
            Err(error) => {
                let text = chain(&*error);
                // gpu-allocator keeps a text of its own instead of the command's name. A failed look
                // at the counter is no error, but a lost device fails at the next command.
                let named = text.contains(injected)
                    || text.contains("staging memory")
                    || (injected == COUNTER
                        && fault != Fault::Once(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY));
                assert!(named, "{what}: {text}");
            }
            Ok(()) => assert!(endured.contains(&injected), "{what}: no error"),
        }
        failed.push(injected);
    }
    unreachable!("the loop ends by returning")
}

pub const ONCE: [Fault; 2] = [
    Fault::Once(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY),
    Fault::Once(vk::Result::ERROR_DEVICE_LOST),
];
