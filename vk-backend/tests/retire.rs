//! Dropping never waits, and what was dropped goes when its work is over.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use dmashare::{Fence, FenceSet, Modifier, SharedBuffer, Submission, SyncFile};
use dmashare_lab_probe::{SwSyncTimeline, bufinfo, open_files};
use dmashare_vk::ash::vk;
use dmashare_vk::{Device, DeviceSelector};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use support::{alone, buffer, device, heap, map, small};

const LONG: Duration = Duration::from_secs(30);

/// Work on the buffer that is over when the timeline is told.
fn pending_work(device: &Device, shared: &SharedBuffer, sw_sync: &SwSyncTimeline) -> Fence {
    let mapping = map(shared, device);
    let file = SyncFile::new(sw_sync.fence(1)).unwrap();
    Submission::begin([mapping.write()])
        .unwrap()
        .commit(&file.into());
    let submission = device.submission([mapping.write()]).unwrap();
    // SAFETY: there are no command buffers.
    unsafe { submission.submit(&[]) }.unwrap()
}

fn is_readable(device: &Device, milliseconds: u16) -> bool {
    let mut fds = [PollFd::new(device.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::from(milliseconds)).unwrap() > 0
}

#[test]
fn a_mapping_with_work_in_flight_is_retired_without_waiting() {
    let _alone = alone();
    let device = device();
    let sw_sync = SwSyncTimeline::new();
    let shared = SharedBuffer::new(&heap(), small("retired"), &[Modifier::LINEAR]).unwrap();
    let inode = shared.backing().dmabuf().id().inode();
    let is_there = || bufinfo().iter().any(|info| info.inode == inode);
    let start = Instant::now();
    let fence = pending_work(&device, &shared, &sw_sync);
    drop(shared);
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(device.retired(), 1);
    assert_eq!(device.dispatch(), 0);
    assert!(is_there(), "the memory stays while the work may use it");
    sw_sync.increment(1);
    fence.wait(LONG).unwrap();
    // The descriptor says when to look again.
    assert!(is_readable(&device, 1000));
    assert_eq!(device.dispatch(), 1);
    assert_eq!(device.retired(), 0);
    assert!(!is_there());
    assert!(!is_readable(&device, 20));
}

#[test]
fn without_work_in_flight_it_goes_at_once() {
    let _alone = alone();
    let device = device();
    let shared = SharedBuffer::new(&heap(), small("idle"), &[Modifier::LINEAR]).unwrap();
    let before = open_files();
    drop(map(&shared, &device));
    assert_eq!(device.retired(), 0);
    assert_eq!(open_files(), before);
    assert!(!is_readable(&device, 20));
}

#[test]
fn plain_buffers_are_retired_too() {
    let _alone = alone();
    let device = device();
    let sw_sync = SwSyncTimeline::new();
    let shared = buffer(&device, "work");
    let fence = pending_work(&device, &shared, &sw_sync);
    let usage = vk::BufferUsageFlags::TRANSFER_SRC;
    let plain = device.export_buffer("plain", 4096, usage).unwrap();
    let after: FenceSet = [fence.clone()].into_iter().collect();
    // The mapping of the pending work is there already.
    let before = device.retired();
    device.retire_buffer(plain, after);
    assert_eq!(device.retired(), before + 1);
    sw_sync.increment(1);
    fence.wait(LONG).unwrap();
    assert_eq!(device.dispatch(), before + 1);
}

/// This thread holds the queue, so nobody can say whether the lost device has let go.
#[test]
fn a_lost_device_keeps_what_its_work_may_still_use() {
    let _alone = alone();
    let device = device();
    let usage = vk::BufferUsageFlags::TRANSFER_SRC;
    let plain = device.export_buffer("lost", 4096, usage).unwrap();
    device.mark_lost();
    device.retire_buffer(plain, FenceSet::new());
    let queue = device.queue().unwrap();
    assert_eq!(device.dispatch(), 0);
    assert_eq!(device.retired(), 1);
    // It is worth another look.
    assert!(is_readable(&device, 1000));
    drop(queue);
    assert_eq!(device.dispatch(), 1);
}

#[test]
fn the_last_handle_waits_for_the_last_work_and_leaves_nothing() {
    let _alone = alone();
    // The first device of an instance leaves descriptors with it.
    let instance = support::instance();
    let physical = instance.select(&dmashare_vk::DeviceSelector::Any).unwrap();
    drop(Device::open(&physical).unwrap());
    let before = (open_files(), bufinfo());
    let sw_sync = SwSyncTimeline::new();
    let device = Device::open(&physical).unwrap();
    let shared = buffer(&device, "last");
    let fence = pending_work(&device, &shared, &sw_sync);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(200));
            sw_sync.increment(1);
        });
        let start = Instant::now();
        drop((shared, device));
        assert!(start.elapsed() >= Duration::from_millis(150));
    });
    assert!(fence.status().is_over());
    drop((fence, sw_sync));
    assert_eq!((open_files(), bufinfo()), before);
}

/// The mapping, its buffer and the device are dropped between `submission` and the submit: the work
/// that is about to be submitted keeps them, and lets go of the queue before they go.
#[test]
fn a_submission_keeps_what_it_uses() {
    let _alone = alone();
    let instance = support::instance();
    let physical = instance.select(&DeviceSelector::Any).unwrap();
    drop(Device::open(&physical).unwrap());
    let before = (open_files(), bufinfo());
    let device = Device::open(&physical).unwrap();
    let shared = SharedBuffer::new(&heap(), small("kept"), &[Modifier::LINEAR]).unwrap();
    let inode = shared.backing().dmabuf().id().inode();
    let mapping = map(&shared, &device);
    let submission = device.submission([mapping.write()]).unwrap();
    drop((mapping, shared, device));
    assert!(bufinfo().iter().any(|info| info.inode == inode));
    // SAFETY: there are no command buffers.
    let fence = unsafe { submission.submit(&[]) }.unwrap();
    // The last handle went with the submission, and waited.
    assert!(fence.status().is_over());
    drop(fence);
    assert_eq!((open_files(), bufinfo()), before);
}

#[test]
fn a_thousand_buffers_come_and_go() {
    let _alone = alone();
    let device = device();
    let use_one = |name: &str| {
        let shared = buffer(&device, name);
        let mapping = map(&shared, &device);
        device
            .transfer()
            .upload(&mapping, &[1; 64 * 32 * 4])
            .unwrap();
    };
    use_one("first");
    device.dispatch();
    let before = (open_files(), bufinfo());
    for _ in 0..1000 {
        use_one("one of many");
        device.dispatch();
    }
    assert_eq!((open_files(), bufinfo()), before);
    assert_eq!(device.retired(), 0);
}

#[test]
fn devices_are_opened_and_closed_again_and_again() {
    let _alone = alone();
    let instance = support::instance();
    let physical = instance.select(&DeviceSelector::Any).unwrap();
    drop(Device::open(&physical).unwrap());
    let before = (open_files(), bufinfo());
    for _ in 0..20 {
        let device = Device::open(&physical).unwrap();
        let shared = buffer(&device, "short");
        drop(map(&shared, &device));
        drop((device, shared));
    }
    assert_eq!((open_files(), bufinfo()), before);
}

/// Work that never ends must not hang the program: what it may use is left behind instead.
#[test]
fn the_last_drop_gives_up_on_work_that_never_ends() {
    let _alone = alone();
    let device = device();
    let sw_sync = SwSyncTimeline::new();
    let shared = SharedBuffer::new(&heap(), small("stuck"), &[Modifier::LINEAR]).unwrap();
    let fence = pending_work(&device, &shared, &sw_sync);
    let start = Instant::now();
    drop((shared, device));
    let elapsed = start.elapsed();
    assert!(
        elapsed >= Duration::from_secs(5) && elapsed < LONG,
        "{elapsed:?}"
    );
    assert!(!fence.status().is_over());
    // The driver's thread may end in peace.
    sw_sync.increment(1);
    fence.wait(LONG).unwrap();
}
