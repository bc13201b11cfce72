//! Every Vulkan command fails in turn, on an adopted device and on an opened one: the error names it,
//! and nothing is left behind.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/fail_each.rs"]
mod fail_each;
#[path = "support/function_table.rs"]
mod function_table;
mod support;

use dmashare::{Extent, Fourcc, Modifier, SharedBuffer, Submission, SyncFile, Usage};
use dmashare_lab_probe::SwSyncTimeline;
use dmashare_vk::ash::vk;
use dmashare_vk::{AdoptedDevice, Device, DeviceError};
use fail_each::{Application, ONCE, Outcome, Start, try_all};
use function_table::Fault;
use support::{COPY, alone, assert_same_bytes, pattern};

fn use_device(device: &Device) -> Outcome {
    // Export, draw, read back.
    let mut desc = support::desc("exported", Fourcc::XRGB8888, Extent::new(64, 32));
    desc.usage = COPY | Usage::SAMPLE | Usage::RENDER;
    let exported = SharedBuffer::new(device, desc, &[Modifier::LINEAR])?;
    let mapping = exported.attach(device)?.map()?;
    let pixels = pattern(64 * 32 * 4, 1);
    device.transfer().upload(&mapping, &pixels)?;
    assert_same_bytes(&device.transfer().download(&mapping)?, &pixels, "exported");
    // Planes.
    let planes = support::desc("planes", Fourcc::NV12, Extent::new(64, 32));
    let planes = SharedBuffer::new(device, planes, &[Modifier::LINEAR])?;
    planes.attach(device)?.map()?;
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
    // The same with a semaphore of the work's own, and one that nobody exports.
    let submission = device.submission([mapping.write()])?.exportable()?;
    // SAFETY: there are no command buffers.
    let fence = unsafe { submission.submit(&[]) }?;
    match fence.export_sync_file() {
        Err(dmashare::FenceError::NoSyncFile { .. }) => {}
        file => file?.wait(std::time::Duration::from_secs(10))?,
    }
    drop(device.submission([mapping.write()])?.exportable()?);
    // Plain buffers.
    let usage = vk::BufferUsageFlags::TRANSFER_SRC;
    let plain = device.export_buffer("plain", 4096, usage)?;
    let again = device.import_buffer(plain.memory(), 4096, usage)?;
    drop((plain, again));
    // Dropped with work in flight: to the retire queue.
    drop((mapping, imported, exported, foreign, planes));
    Ok(())
}

/// Commands that the scenario makes, among others.
const TRIED: [&str; 20] = [
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
];

#[test]
fn one_command_fails_on_an_adopted_device() {
    for fault in ONCE {
        let tried = [&TRIED[..], &["vkEnumerateDeviceExtensionProperties"]].concat();
        try_all(Start::Adopt, fault, &tried, use_device);
    }
}

#[test]
fn one_command_fails_on_an_opened_device() {
    for fault in ONCE {
        // One sweep may step over the wait at the end, which is made once.
        let tried = [&TRIED[..], &["vkDeviceWaitIdle"]].concat();
        let failed = try_all(Start::Open, fault, &tried, use_device);
        assert_eq!(failed[0], "vkCreateDevice");
    }
}

#[test]
fn an_adopted_device_is_lost_from_every_command_on() {
    try_all(Start::Adopt, Fault::LostFromThen, &TRIED, use_device);
}

#[test]
fn an_opened_device_is_lost_from_every_command_on() {
    let failed = try_all(Start::Open, Fault::LostFromThen, &TRIED, use_device);
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
