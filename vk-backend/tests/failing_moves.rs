//! Every Vulkan command, and every allocation of the kernel, fails in turn while a buffer is made and
//! moved: the content is intact where the buffer was, and nothing is left behind.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/fail_each.rs"]
mod fail_each;
#[path = "support/function_table.rs"]
mod function_table;
mod support;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use dmashare::{Access, Extent, Fence, Fourcc, MoveError, Placement, SharedBuffer, SyncFile};
use dmashare_lab_probe::{SwSyncTimeline, bufinfo, for_each_failing_allocation, open_files};
use dmashare_vk::{Device, DeviceSelector, MovableImages};
use fail_each::{ONCE, Outcome, Start, try_all};
use function_table::Fault;
use support::{
    LONG, alone, assert_same_bytes, at, busy_until, cpu_read, desc, map_dynamic, movable,
    movable_buffer, move_to, packed_size, pattern, upload,
};

const EXTENT: Extent = Extent::new(333, 77);

/// Moves the buffer behind a fence of the kernel's, and waits. When that fails, the buffer has what
/// it had, unless the device was lost while it copied.
fn move_and_check(
    shared: &SharedBuffer,
    device: &Device,
    placement: Placement,
    pixels: &[u8],
) -> Outcome {
    let before = shared.backing();
    let sw_sync = SwSyncTimeline::new();
    let file = SyncFile::new(sw_sync.fence(1))?;
    shared.add_fence(Access::Read, file.into())?;
    let moved = shared.move_to(&at(placement));
    sw_sync.increment(1);
    let result: Outcome = match moved {
        Ok(moved) => moved.wait(LONG).map_err(Into::into),
        Err(error) => {
            let after = shared.backing();
            assert_eq!(after.dmabuf().id(), before.dmabuf().id(), "{error:?}");
            if matches!(error, MoveError::Copy { .. }) {
                assert!(after.generation() > before.generation());
            }
            Err(error.into())
        }
    };
    drop(before);
    assert_eq!(shared.pins(), 0);
    assert_eq!(shared.attachments().len(), 1);
    if result.is_err() && !device.is_lost() {
        // The wait failed once, and not the copy.
        shared.wait_ready(Access::Read, LONG)?;
    }
    let was_copied = shared.ready(Access::Read).status() == dmashare::FenceStatus::Signalled;
    if was_copied {
        let backing = shared.backing();
        assert_same_bytes(&cpu_read(backing.dmabuf()), pixels, "after a failed move");
    }
    result
}

fn make_and_move(device: &Device) -> Outcome {
    let images = movable(device);
    let result = move_about(device, &images);
    // Whatever happened, the pools can be emptied.
    empty_pools(&images);
    result
}

/// Memory that work still uses stays until that is over.
fn empty_pools(images: &MovableImages) {
    let places = [Placement::Device, Placement::Host, Placement::Shmem];
    let start = Instant::now();
    while places.iter().any(|place| images.pooled(*place) > 0) {
        assert!(start.elapsed() < LONG, "{images:?}");
        for place in places {
            images.shrink(place, u64::MAX);
        }
    }
    images.device().dispatch();
}

fn move_about(device: &Device, images: &MovableImages) -> Outcome {
    let desc = desc("moved", Fourcc::XRGB8888, EXTENT);
    let pixels = pattern(packed_size(Fourcc::XRGB8888, EXTENT), 1);
    let shared = SharedBuffer::new_dynamic(images, desc, &at(Placement::Device))?;
    let flag = Arc::new(AtomicBool::new(false));
    let attachment = shared.attach_dynamic(device, flag)?;
    device.transfer().upload(&attachment.map()?, &pixels)?;
    // The second round is of pooled memory.
    for placement in [
        Placement::Host,
        Placement::Device,
        Placement::Shmem,
        Placement::Device,
    ] {
        move_and_check(&shared, device, placement, &pixels)?;
        let read = device.transfer().download(&attachment.map()?)?;
        assert_same_bytes(&read, &pixels, "moved");
        shared.dispatch();
    }
    Ok(())
}

/// Commands that every sweep over the moves should meet.
const TRIED: [&str; 14] = [
    "vkCreateImage",
    "vkAllocateMemory",
    "vkBindImageMemory",
    "vkGetImageDrmFormatModifierPropertiesEXT",
    "vkGetMemoryFdKHR",
    "vkGetMemoryFdPropertiesKHR",
    "vkCreateSemaphore",
    "vkImportSemaphoreFdKHR",
    "vkCreateCommandPool",
    "vkAllocateCommandBuffers",
    "vkBeginCommandBuffer",
    "vkEndCommandBuffer",
    "vkQueueSubmit2",
    "vkWaitSemaphores",
];

#[test]
fn i13_one_command_fails() {
    for fault in ONCE {
        try_all(Start::Adopt, fault, &TRIED, make_and_move);
    }
}

#[test]
fn i13_the_device_is_lost_from_every_command_on() {
    try_all(Start::Adopt, Fault::LostFromThen, &TRIED, make_and_move);
}

/// Moves a buffer from one place to another, with the kernel's allocations failing one by one. The
/// queue stands still meanwhile: the kernel's fault injection reaches the futex calls of the driver's
/// and the layers' threads, which do not cope when they wait for each other.
fn fail_allocations(from: Placement, to: Placement) {
    let _alone = alone();
    let instance = support::instance();
    let physical = instance.select(&DeviceSelector::Any).unwrap();
    drop(Device::open(&physical).unwrap());
    let at_first = (open_files(), bufinfo());
    let device = Device::open(&physical).unwrap();
    let images = movable(&device);
    let shared = movable_buffer(&images, desc("allocations", Fourcc::XRGB8888, EXTENT));
    let other = map_dynamic(&support::buffer(&device, "holds the queue up"), &device);
    let pixels = pattern(packed_size(Fourcc::XRGB8888, EXTENT), 2);
    upload(&shared, &device, &pixels);
    let sw_sync = SwSyncTimeline::new();
    let mut held = None;
    // The queue goes on, the buffer goes back, and the queue stands still again.
    let mut settle = |nth: u32| {
        if let Some(fence) = held.take() {
            sw_sync.increment(1);
            Fence::wait(&fence, LONG).unwrap();
        }
        shared.wait_ready(Access::Write, LONG).unwrap();
        let content = cpu_read(shared.backing().dmabuf());
        assert_same_bytes(&content, &pixels, "where it is");
        move_to(&shared, from);
        shared.dispatch();
        empty_pools(&images);
        let content = cpu_read(shared.backing().dmabuf());
        assert_same_bytes(&content, &pixels, "where it was");
        // The driver's own thread closes a sync_file some time after the work that waited for it.
        let mut files = open_files();
        files.retain(|file| file.target != "anon_inode:sync_file");
        let count = (files.len(), bufinfo().len(), device.retired());
        held = Some(busy_until(&device, &other, &sw_sync, nth + 1));
        count
    };
    let before = settle(0);
    let mut refused = 0;
    let failures = for_each_failing_allocation(
        || shared.move_to(&at(to)),
        |nth, result| {
            let what = format!("allocation {nth}: {result:?}");
            match result {
                Ok(moved) => assert!(!moved.is_over(), "{what}"),
                Err(error) => {
                    assert!(error.source().is_some(), "{what}");
                    assert_eq!(shared.backing().placement(), from, "{what}");
                    refused += 1;
                }
            }
            assert_eq!(shared.pins(), 0, "{what}");
            assert_eq!(settle(nth), before, "{what}");
        },
    );
    sw_sync.increment(1);
    assert!(
        failures > 0 && refused > 0,
        "{failures} injected, {refused} refused"
    );
    drop((shared, images, other, held, sw_sync, device));
    assert_eq!((open_files(), bufinfo()), at_first);
}

#[test]
fn i13_allocations_fail_on_the_way_to_host_memory() {
    fail_allocations(Placement::Device, Placement::Host);
    fail_allocations(Placement::Device, Placement::Shmem);
}

#[test]
fn i13_allocations_fail_on_the_way_to_the_device() {
    fail_allocations(Placement::Host, Placement::Device);
}
