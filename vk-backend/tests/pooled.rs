//! What `MovableImages` keeps for its next buffers.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use dmashare::host::HostMemory;
use dmashare::{
    Access, AccessConstraint, Extent, FenceStatus, Fourcc, Placement, Priority, Residency,
    SharedBuffer, Usage,
};
use dmashare_lab_probe::{SwSyncTimeline, bufinfo, open_files};
use dmashare_vk::{Device, DeviceSelector, MovableImages};
use support::{
    LONG, alone, assert_same_bytes, at, busy_until, desc, device, download, heap, inode,
    kernel_exporter, map_dynamic, movable, movable_buffer, move_to, pattern, small, udmabuf,
    upload,
};

const PLACES: [Placement; 3] = [Placement::Device, Placement::Host, Placement::Shmem];

#[test]
fn memory_of_the_same_shape_comes_back() {
    let _alone = alone();
    let device = device();
    let images = movable(&device);
    let shared = movable_buffer(&images, small("first"));
    let first = inode(&shared);
    let bytes = shared.backing().bytes();
    drop(shared);
    assert_eq!(images.pooled(Placement::Device), bytes);
    // Another size, format or usage is another shape.
    let mut other = small("usage");
    other.usage |= Usage::SAMPLE;
    for desc in [
        desc("size", Fourcc::XRGB8888, Extent::new(64, 33)),
        desc("format", Fourcc::ARGB8888, Extent::new(64, 32)),
        other,
    ] {
        assert_ne!(inode(&movable_buffer(&images, desc)), first);
    }
    let again = movable_buffer(&images, small("again"));
    assert_eq!(inode(&again), first);
    // The name is the new buffer's.
    let listed = bufinfo().into_iter().find(|info| info.inode == first);
    assert_eq!(listed.unwrap().name, "again");
    // A demand that it does not meet.
    drop(again);
    let mut wanted = AccessConstraint::default();
    wanted.stride_alignment = 4096;
    wanted.placements = dmashare::Placements::HOST;
    let linear = SharedBuffer::new_dynamic(&images, small("aligned"), &wanted).unwrap();
    assert_ne!(inode(&linear), first);
}

/// After the first there and back, moves make nothing.
#[test]
fn steady_moves_use_the_same_memory() {
    let _alone = alone();
    let device = device();
    let images = movable(&device);
    let shared = movable_buffer(&images, small("steady"));
    let pixels = pattern(64 * 32 * 4, 1);
    upload(&shared, &device, &pixels);
    let round = || {
        move_to(&shared, Placement::Host);
        shared.dispatch();
        let host = inode(&shared);
        move_to(&shared, Placement::Device);
        shared.dispatch();
        (host, inode(&shared))
    };
    let first = round();
    let before = (open_files(), bufinfo());
    for _ in 0..50 {
        assert_eq!(round(), first);
    }
    // Only the last copy is left to be collected.
    device.dispatch();
    assert_eq!(device.retired(), 0);
    assert_eq!((open_files(), bufinfo()), before);
    assert_same_bytes(&download(&shared, &device), &pixels, "after 102 moves");
}

/// The next owner waits for the last one's work, and for nothing on the CPU.
#[test]
fn pooled_memory_is_used_again_after_its_fences() {
    let _alone = alone();
    let device = device();
    let images = movable(&device);
    let sw_sync = SwSyncTimeline::new();
    let shared = movable_buffer(&images, small("busy"));
    let first = inode(&shared);
    let mapping = map_dynamic(&shared, &device);
    let work = busy_until(&device, &mapping, &sw_sync, 1);
    drop((shared, mapping));
    assert!(images.pooled(Placement::Device) > 0);
    // What work still uses is not freed.
    assert_eq!(images.shrink(Placement::Device, u64::MAX), 0);
    assert!(kernel_exporter(first).is_some());
    let next = movable_buffer(&images, small("next"));
    if inode(&next) == first {
        assert_eq!(next.ready(Access::Read).status(), FenceStatus::Pending);
    }
    let moved = next.move_to(&at(Placement::Host)).unwrap();
    assert!(!moved.is_over());
    assert_eq!(work.status(), FenceStatus::Pending);
    sw_sync.increment(1);
    moved.wait(LONG).unwrap();
    let pixels = pattern(64 * 32 * 4, 2);
    upload(&next, &device, &pixels);
    assert_same_bytes(&download(&next, &device), &pixels, "the next owner's");
}

/// What the pool has no room for stays until its work is over.
#[test]
fn i6_memory_without_room_in_the_pool_is_freed_after_its_fences() {
    let _alone = alone();
    let device = device();
    let host = HostMemory::new(Some(heap()), Some(udmabuf()));
    let images = MovableImages::with_pool(&device, Some(host), 0);
    let sw_sync = SwSyncTimeline::new();
    let shared = movable_buffer(&images, small("no room"));
    let first = inode(&shared);
    let mapping = map_dynamic(&shared, &device);
    let work = busy_until(&device, &mapping, &sw_sync, 1);
    drop((shared, mapping));
    assert_eq!(images.pooled(Placement::Device), 0);
    device.dispatch();
    assert!(kernel_exporter(first).is_some(), "work still uses it");
    sw_sync.increment(1);
    work.wait(LONG).unwrap();
    device.dispatch();
    assert_eq!(device.retired(), 0);
    assert_eq!(kernel_exporter(first), None);
    // With nothing in flight it goes at once.
    let shared = movable_buffer(&images, small("no room"));
    shared.wait_ready(Access::Write, LONG).unwrap();
    device.dispatch();
    let second = inode(&shared);
    drop(shared);
    assert_eq!(kernel_exporter(second), None);
}

/// An exporter that goes, with pooled memory that work still uses, leaves nothing behind.
#[test]
fn the_pool_goes_with_its_exporter() {
    let _alone = alone();
    let instance = support::instance();
    let physical = instance.select(&DeviceSelector::Any).unwrap();
    drop(Device::open(&physical).unwrap());
    let before = (open_files(), bufinfo());
    let device = Device::open(&physical).unwrap();
    let images = movable(&device);
    let sw_sync = SwSyncTimeline::new();
    let idle = movable_buffer(&images, small("idle"));
    let busy = movable_buffer(&images, small("busy"));
    for placement in [Placement::Host, Placement::Shmem] {
        move_to(&idle, placement);
        idle.dispatch();
    }
    let mapping = map_dynamic(&busy, &device);
    let work = busy_until(&device, &mapping, &sw_sync, 1);
    drop((busy, idle, mapping));
    assert!(PLACES.iter().all(|placement| images.pooled(*placement) > 0));
    drop(images);
    assert!(device.retired() > 0);
    sw_sync.increment(1);
    work.wait(LONG).unwrap();
    device.dispatch();
    assert_eq!(device.retired(), 0);
    drop((device, work, sw_sync));
    assert_eq!((open_files(), bufinfo()), before);
}

/// Three buffers with room on the device for two: the one that was used least recently is in host
/// memory, and everyone's content is right all the time.
#[test]
fn i15_residency_keeps_the_content() {
    let _alone = alone();
    let device = device();
    let images = movable(&device);
    let residency = Residency::new();
    residency.set_hold(std::time::Duration::ZERO);
    let make = |name: &str| {
        let desc = desc(name, Fourcc::XRGB8888, Extent::new(256, 256));
        let wanted = at(Placement::Device);
        let wanted = AccessConstraint::placements(wanted.placements);
        residency
            .create(&images, desc, &wanted, Priority::default())
            .unwrap()
    };
    let first = make("first");
    residency.set_budget(Placement::Device, 2 * first.backing().bytes());
    let buffers = [first, make("second"), make("third")];
    let mut contents: Vec<Vec<u8>> = Vec::new();
    for (seed, shared) in (1..).zip(&buffers) {
        contents.push(pattern(256 * 256 * 4, seed));
        upload(shared, &device, &contents[contents.len() - 1]);
    }
    for round in 0_u32..12 {
        let index = usize::try_from(round % 3).unwrap();
        let what = format!("round {round}");
        let shared = &buffers[index];
        assert_same_bytes(&download(shared, &device), &contents[index], &what);
        contents[index] = pattern(256 * 256 * 4, 100 + round);
        upload(shared, &device, &contents[index]);
        residency.dispatch();
        let limit = residency.limit(Placement::Device).unwrap();
        assert!(residency.used(Placement::Device) <= limit, "{what}");
        let away = buffers
            .iter()
            .filter(|shared| shared.backing().placement() != Placement::Device);
        assert_eq!(away.count(), 1, "{what}");
    }
    assert!(images.bytes_moved() > 0);
    // A display that sleeps: everything leaves the device.
    residency.trim(Placement::Device, u64::MAX);
    for shared in &buffers {
        shared.wait_ready(Access::Read, LONG).unwrap();
    }
    residency.dispatch();
    images.shrink(Placement::Device, u64::MAX);
    assert_eq!(residency.used(Placement::Device), 0);
    let on_the_device = |shared: &SharedBuffer| shared.backing().placement() == Placement::Device;
    assert!(!buffers.iter().any(on_the_device));
    for (shared, content) in buffers.iter().zip(&contents) {
        assert_same_bytes(&download(shared, &device), content, "brought back");
    }
}
