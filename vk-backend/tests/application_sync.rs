//! The application's own semaphores and fences as fences of buffers, and back.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use dmashare::{Access, Fence, FenceError, FenceStatus, SoftwareTimeline, SyncFile};
use dmashare_lab_probe::{SwSyncTimeline, open_files, within_time_limit};
use dmashare_vk::Device;
use dmashare_vk::ash::vk;
use support::{LONG, alone, buffer, device, map, submit_empty};

fn sync_fence(timeline: &SwSyncTimeline, value: u32) -> Fence {
    SyncFile::new(timeline.fence(value)).unwrap().into()
}

/// A semaphore that can be exported as a sync_file.
fn semaphore(device: &Device) -> vk::Semaphore {
    let mut export = vk::ExportSemaphoreCreateInfo::default()
        .handle_types(vk::ExternalSemaphoreHandleTypeFlags::SYNC_FD);
    let info = vk::SemaphoreCreateInfo::default().push_next(&mut export);
    // SAFETY: the device is alive.
    unsafe { device.raw().create_semaphore(&info, None) }.unwrap()
}

/// A `VkFence` that can be exported as a sync_file.
fn vk_fence(device: &Device) -> vk::Fence {
    let mut export = vk::ExportFenceCreateInfo::default()
        .handle_types(vk::ExternalFenceHandleTypeFlags::SYNC_FD);
    let info = vk::FenceCreateInfo::default().push_next(&mut export);
    // SAFETY: the device is alive.
    unsafe { device.raw().create_fence(&info, None) }.unwrap()
}

/// Submits nothing but a wait, a signal, and a fence, as given.
fn submit(device: &Device, wait: vk::Semaphore, signal: vk::Semaphore, fence: vk::Fence) {
    let info = |semaphore| {
        vk::SemaphoreSubmitInfo::default()
            .semaphore(semaphore)
            .stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS)
    };
    let is_given = |semaphore: &vk::Semaphore| *semaphore != vk::Semaphore::null();
    let waits: Vec<_> = Some(wait).filter(is_given).map(info).into_iter().collect();
    let signals: Vec<_> = Some(signal)
        .filter(is_given)
        .map(info)
        .into_iter()
        .collect();
    let submit = vk::SubmitInfo2::default()
        .wait_semaphore_infos(&waits)
        .signal_semaphore_infos(&signals);
    let queue = device.queue().unwrap();
    // SAFETY: the queue's lock is held, the semaphores and the fence are of this device and unused.
    unsafe { device.raw().queue_submit2(queue.raw(), &[submit], fence) }.unwrap();
}

const NONE: vk::Semaphore = vk::Semaphore::null();

#[test]
fn a_semaphore_signals_with_a_fence_and_becomes_one() {
    let _alone = alone();
    within_time_limit(|| {
        let device = device();
        let (first, second) = (semaphore(&device), semaphore(&device));
        let files = open_files().len();
        let timeline = SwSyncTimeline::new();
        let fence = sync_fence(&timeline, 1);
        // SAFETY: nothing uses the semaphore.
        unsafe { device.import_into_semaphore(first, &fence) }.unwrap();
        submit(&device, first, second, vk::Fence::null());
        std::thread::scope(|scope| {
            // The driver may keep this thread until the work is done.
            let exports = scope.spawn(|| {
                // SAFETY: its signal was submitted, and nothing else waits for it.
                unsafe { device.fence_of_semaphore(second) }.unwrap()
            });
            std::thread::sleep(Duration::from_millis(50));
            timeline.increment(1);
            if let Some(fence) = exports.join().unwrap() {
                fence.wait(LONG).unwrap();
            }
        });
        // The fence is over, and so is the work; the layers believe only the device.
        // SAFETY: the device is alive, and no other thread uses its queue.
        unsafe { device.raw().device_wait_idle() }.unwrap();
        // One that has signalled is imported as that, also one without a sync_file.
        let software = SoftwareTimeline::new("worker");
        // SAFETY: nothing uses the semaphore; its last wait is over.
        let refused = unsafe { device.import_into_semaphore(first, &software.fence(1)) };
        assert!(
            matches!(refused, Err(FenceError::NoSyncFile { producer }) if producer == "worker")
        );
        software.signal(1);
        // SAFETY: as above.
        unsafe { device.import_into_semaphore(first, &software.fence(1)) }.unwrap();
        submit(&device, first, NONE, vk::Fence::null());
        let dead = sync_fence(&timeline, 9);
        drop(timeline);
        // SAFETY: as above.
        let refused = unsafe { device.import_into_semaphore(second, &dead) };
        assert!(matches!(refused, Err(FenceError::Failed { .. })));
        drop((dead, fence));
        // SAFETY: what was submitted is of no use to anyone.
        unsafe { device.raw().device_wait_idle() }.unwrap();
        assert_eq!(open_files().len(), files);
        for semaphore in [first, second] {
            // SAFETY: nothing uses it any more.
            unsafe { device.raw().destroy_semaphore(semaphore, None) };
        }
    });
}

#[test]
fn a_vk_fence_signals_with_a_fence_and_becomes_one() {
    let _alone = alone();
    within_time_limit(|| {
        let device = device();
        let (first, second) = (vk_fence(&device), vk_fence(&device));
        let timeline = SwSyncTimeline::new();
        let fence = sync_fence(&timeline, 1);
        // SAFETY: nothing uses the fence.
        unsafe { device.import_into_vk_fence(first, &fence) }.unwrap();
        // SAFETY: it is of this device.
        let status = || unsafe { device.raw().get_fence_status(first) }.unwrap();
        assert!(!status());
        timeline.increment(1);
        // SAFETY: as above.
        unsafe { device.raw().wait_for_fences(&[first], true, 8_000_000_000) }.unwrap();
        assert!(status());
        submit(&device, NONE, NONE, second);
        // SAFETY: its signal was submitted.
        if let Some(fence) = unsafe { device.fence_of_vk_fence(second) }.unwrap() {
            fence.wait(LONG).unwrap();
            assert_eq!(fence.status(), FenceStatus::Signalled);
        }
        // SAFETY: nothing is submitted with them any more.
        unsafe { device.raw().device_wait_idle() }.unwrap();
        for fence in [first, second] {
            // SAFETY: nothing uses it any more.
            unsafe { device.raw().destroy_fence(fence, None) };
        }
    });
}

/// What a semaphore of the application stands for orders the uses of a buffer.
#[test]
fn a_buffers_use_waits_for_the_applications_own_work() {
    within_time_limit(|| {
        let (device, other) = (device(), device());
        let shared = buffer(&device, "own work");
        let mapping = map(&shared, &device);
        let (gate, done) = (semaphore(&other), semaphore(&other));
        let timeline = SwSyncTimeline::new();
        // SAFETY: nothing uses the semaphore.
        unsafe { other.import_into_semaphore(gate, &sync_fence(&timeline, 1)) }.unwrap();
        submit(&other, gate, done, vk::Fence::null());
        timeline.increment(1);
        // SAFETY: its signal was submitted, and nothing else waits for it.
        if let Some(fence) = unsafe { other.fence_of_semaphore(done) }.unwrap() {
            shared.add_fence(Access::Write, fence).unwrap();
        }
        submit_empty(&device, &mapping, Access::Read)
            .wait(LONG)
            .unwrap();
        // SAFETY: what was submitted is of no use to anyone.
        unsafe { other.raw().device_wait_idle() }.unwrap();
        for semaphore in [gate, done] {
            // SAFETY: nothing uses it any more.
            unsafe { other.raw().destroy_semaphore(semaphore, None) };
        }
    });
}
