//! Every Vulkan command fails in turn, on an adopted device and on an opened one: the error names it,
//! and nothing is left behind.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/function_table.rs"]
mod function_table;
mod support;

use std::error::Error;
use std::ffi::CString;

use dmashare::{Extent, Fourcc, Modifier, SharedBuffer, Submission, SyncFile, Usage};
use dmashare_lab_probe::{SwSyncTimeline, bufinfo, open_files};
use dmashare_vk::ash::{self, ext, khr, vk};
use dmashare_vk::{AdoptedDevice, Device, DeviceError, Instance, QueueLock};
use function_table::Fault;
use support::{COPY, alone, assert_same_bytes, pattern};

type Outcome = Result<(), Box<dyn Error>>;

/// A `VkDevice` as an application makes one, destroyed by the application.
struct Application {
    instance: Instance,
    shimmed_instance: ash::Instance,
    physical_device: vk::PhysicalDevice,
    device: ash::Device,
    extensions: Vec<CString>,
}

impl Application {
    fn new(instance: &Instance) -> Self {
        let physical = instance.select(&dmashare_vk::DeviceSelector::Any).unwrap();
        let extensions = [
            khr::external_memory_fd::NAME,
            ext::external_memory_dma_buf::NAME,
            ext::image_drm_format_modifier::NAME,
            khr::external_semaphore_fd::NAME,
            ext::queue_family_foreign::NAME,
        ]
        .map(ToOwned::to_owned);
        let names = extensions.each_ref().map(|name| name.as_ptr());
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
            extensions: extensions.into(),
        }
    }

    fn adopted(&self) -> AdoptedDevice {
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
enum Start {
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
fn scenario(start: impl Fn() -> Result<Device, DeviceError>) -> Outcome {
    let device = start()?;
    let result = use_device(&device);
    device.dispatch();
    result
}

fn use_device(device: &Device) -> Outcome {
    // Export, draw, read back.
    let mut desc = support::desc("exported", Fourcc::XRGB8888, Extent::new(64, 32));
    desc.usage = COPY | Usage::SAMPLE | Usage::RENDER;
    let exported = SharedBuffer::new(device, desc, &[Modifier::LINEAR])?;
    let mapping = exported.attach(device)?.map()?;
    let pixels = pattern(64 * 32 * 4, 1);
    device.transfer().upload(&mapping, &pixels)?;
    assert_same_bytes(&device.transfer().download(&mapping)?, &pixels, "exported");
    // Import what someone else made, and copy into it.
    let foreign = SharedBuffer::new(
        &support::heap(),
        support::small("foreign"),
        &[Modifier::LINEAR],
    )?;
    let imported = foreign.attach(device)?.map()?;
    device.transfer().copy(&mapping, &imported)?;
    assert_same_bytes(
        &support::cpu_read(foreign.backing().dmabuf()),
        &pixels,
        "imported",
    );
    // Wait for a sync_file, and make one.
    let sw_sync = SwSyncTimeline::new();
    let file = SyncFile::new(sw_sync.fence(1))?;
    Submission::begin([imported.write()])?.commit(&file.into());
    let submission = device.submission([imported.write(), mapping.read()]);
    sw_sync.increment(1);
    // SAFETY: there are no command buffers.
    let fence = unsafe { submission?.submit(&[]) }?;
    fence
        .export_sync_file()?
        .wait(std::time::Duration::from_secs(10))?;
    // Plain buffers.
    let usage = vk::BufferUsageFlags::TRANSFER_SRC;
    let plain = device.export_buffer("plain", 4096, usage)?;
    let again = device.import_buffer(plain.memory(), 4096, usage)?;
    drop((plain, again));
    // Dropped with work in flight: to the retire queue.
    drop((mapping, imported, exported, foreign));
    Ok(())
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
const ENDURED: [&str; 6] = [
    COUNTER,
    "vkAllocateMemory",
    "vkMapMemory",
    "vkWaitSemaphores",
    "vkQueueWaitIdle",
    "vkDeviceWaitIdle",
];

/// Runs the scenario with the first, second, third … command failing, until none fails any more.
fn fail_each(start: Start, fault: Fault) -> Vec<&'static str> {
    let _alone = alone();
    let instance = support::instance();
    // The first device leaves a few descriptors with the instance.
    let first = Application::new(&instance);
    scenario(start.prepare(&first)).unwrap();
    drop(first);
    let mut failed = Vec::new();
    for nth in 1.. {
        let before = (open_files(), bufinfo());
        let application = Application::new(&instance);
        let prepared = start.prepare(&application);
        function_table::arm(nth, fault);
        let result = scenario(prepared);
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
                    || (injected == COUNTER && fault == Fault::LostFromThen);
                assert!(named, "{what}: {text}");
            }
            Ok(()) => assert!(ENDURED.contains(&injected), "{what}: no error"),
        }
        failed.push(injected);
    }
    unreachable!("the loop ends by returning")
}

fn assert_all_were_tried(failed: &[&str]) {
    for command in [
        "vkGetPhysicalDeviceImageFormatProperties2",
        "vkCreateImage",
        "vkCreateImageView",
        "vkAllocateMemory",
        "vkBindImageMemory",
        "vkGetImageDrmFormatModifierPropertiesEXT",
        "vkGetMemoryFdKHR",
        "vkGetMemoryFdPropertiesKHR",
        "vkCreateBuffer",
        "vkBindBufferMemory",
        "vkMapMemory",
        "vkCreateSemaphore",
        "vkImportSemaphoreFdKHR",
        "vkGetSemaphoreFdKHR",
        "vkCreateCommandPool",
        "vkAllocateCommandBuffers",
        "vkBeginCommandBuffer",
        "vkEndCommandBuffer",
        "vkQueueSubmit2",
        "vkWaitSemaphores",
    ] {
        assert!(failed.contains(&command), "{command} was never tried");
    }
}

const ONCE: [Fault; 2] = [
    Fault::Once(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY),
    Fault::Once(vk::Result::ERROR_DEVICE_LOST),
];

#[test]
fn one_command_fails_on_an_adopted_device() {
    for fault in ONCE {
        let failed = fail_each(Start::Adopt, fault);
        assert_all_were_tried(&failed);
        assert!(failed.contains(&"vkEnumerateDeviceExtensionProperties"));
    }
}

#[test]
fn one_command_fails_on_an_opened_device() {
    for fault in ONCE {
        let failed = fail_each(Start::Open, fault);
        assert_all_were_tried(&failed);
        assert_eq!(failed[0], "vkCreateDevice");
        assert!(failed.contains(&"vkDeviceWaitIdle"));
    }
}

#[test]
fn an_adopted_device_is_lost_from_every_command_on() {
    assert_all_were_tried(&fail_each(Start::Adopt, Fault::LostFromThen));
}

#[test]
fn an_opened_device_is_lost_from_every_command_on() {
    let failed = fail_each(Start::Open, Fault::LostFromThen);
    assert_all_were_tried(&failed);
    assert_eq!(failed[0], "vkCreateDevice");
}

#[test]
fn a_device_that_cannot_be_described_is_left_out() {
    let _alone = alone();
    let instance = support::instance();
    let application = Application::new(&instance);
    // SAFETY: the handles belong together, and nobody else uses the queue.
    let device = unsafe { Device::adopt(application.adopted()) }.unwrap();
    let listing = device.instance().clone();
    drop(device);
    let all = listing.physical_devices().unwrap().len();
    assert!(all > 0);
    function_table::arm(1, Fault::Once(vk::Result::ERROR_INITIALIZATION_FAILED));
    let left = listing.physical_devices().unwrap();
    assert_eq!(
        function_table::disarm(),
        Some("vkEnumerateDeviceExtensionProperties")
    );
    assert_eq!(left.len(), all - 1);
}

#[test]
fn adoption_names_what_was_not_enabled() {
    let _alone = alone();
    let instance = support::instance();
    let application = Application::new(&instance);
    let missing = |change: fn(&mut AdoptedDevice)| {
        let mut adopted = application.adopted();
        change(&mut adopted);
        // SAFETY: the handles belong together; leaving something out only disables it.
        unsafe { Device::adopt(adopted) }
    };
    for change in [
        (|adopted| adopted.timeline_semaphore = false) as fn(&mut AdoptedDevice),
        |adopted| adopted.synchronization2 = false,
    ] {
        assert!(matches!(
            missing(change),
            Err(DeviceError::MissingFeature { .. })
        ));
    }
    let device = missing(|adopted| adopted.enabled_extensions.clear()).unwrap();
    let error = SharedBuffer::new(&device, support::small("missing"), &[Modifier::LINEAR]);
    assert!(matches!(
        error,
        Err(dmashare::ExportError::MissingFeature {
            missing: "VK_EXT_external_memory_dma_buf",
            ..
        })
    ));
    let foreign = SharedBuffer::new(
        &support::heap(),
        support::small("foreign"),
        &[Modifier::LINEAR],
    )
    .unwrap();
    let dmashare::AttachError::Import { source, .. } = foreign.attach(&device).unwrap_err() else {
        panic!("another error");
    };
    assert!(matches!(
        source,
        dmashare::ImportError::MissingFeature { .. }
    ));
}
