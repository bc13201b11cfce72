//! `MovableImages`: content across moves, what moves wait for, and the kernel's view of them.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use dmashare::{
    Access, AccessConstraint, DynamicExporter, ExportError, Exporter, Extent, FenceStatus, Fourcc,
    Modifier, MoveError, Placement, Placements, SharedBuffer, SoftwareTimeline, SubmitError,
};
use dmashare_lab_probe::{SwSyncTimeline, bufinfo, open_files};
use dmashare_vk::{Device, DeviceSelector, MovableImages, StrideMisaligned};
use support::{
    COPY, LONG, alone, assert_same_bytes, at, busy_until, cpu_read, desc, device, download, inode,
    kernel_exporter, map, map_dynamic, movable, movable_buffer, move_to, packed_size, pattern,
    small, submit_empty, upload,
};

const PLACES: [Placement; 5] = [
    Placement::Host,
    Placement::Device,
    Placement::Shmem,
    Placement::Host,
    Placement::Device,
];

/// What everyone reads from the buffer is `pixels`.
fn assert_content(shared: &SharedBuffer, devices: &[&Device], pixels: &[u8], what: &str) {
    for device in devices {
        assert_same_bytes(&download(shared, device), pixels, what);
    }
    let backing = shared.backing();
    if backing.dmabuf().layout().modifier().is_linear() {
        shared.wait_ready(Access::Read, LONG).unwrap();
        assert_same_bytes(&cpu_read(backing.dmabuf()), pixels, &format!("{what}, CPU"));
    }
}

/// Through every place, read by both devices and the CPU, and written by another one each time.
fn tour(images: &MovableImages, other: &Device, format: Fourcc, extent: Extent) {
    let device = images.device();
    let shared = movable_buffer(images, desc("tour", format, extent));
    let size = packed_size(format, extent);
    let moved = images.bytes_moved();
    let mut pixels = pattern(size, 1);
    upload(&shared, device, &pixels);
    for (seed, placement) in (2..).zip(PLACES) {
        let what = format!("{format} {extent} in {placement}");
        move_to(&shared, placement);
        assert_content(&shared, &[device, other], &pixels, &what);
        pixels = pattern(size, seed);
        upload(&shared, if seed % 2 == 0 { other } else { device }, &pixels);
        shared.dispatch();
    }
    let copies = u64::try_from(PLACES.len()).unwrap();
    let size = u64::try_from(size).unwrap();
    assert_eq!(images.bytes_moved() - moved, copies * size);
}

#[test]
fn i15_content_is_equal_in_every_format() {
    let _alone = alone();
    let (device, other) = (device(), device());
    let images = movable(&device);
    let offered = device.physical_device().formats(COPY);
    let mut tested = 0;
    for format in [
        Fourcc::XRGB8888,
        Fourcc::RGB565,
        Fourcc::ARGB2101010,
        Fourcc::ABGR16161616,
        Fourcc::ABGR16161616F,
    ] {
        if !support::in_lab() && !offered.contains(&format) {
            continue;
        }
        assert!(offered.contains(&format), "the lab's device lacks {format}");
        tour(&images, &other, format, Extent::new(64, 48));
        tested += 1;
    }
    assert!(tested >= 1);
}

#[test]
fn i15_content_is_equal_in_odd_sizes() {
    let _alone = alone();
    let (device, other) = (device(), device());
    let images = movable(&device);
    for extent in [
        Extent::new(1, 1),
        Extent::new(333, 77),
        Extent::new(1920, 1080),
    ] {
        tour(&images, &other, Fourcc::XRGB8888, extent);
        tour(&images, &other, Fourcc::RGB565, extent);
    }
}

/// Luma and chroma move between the two places in host memory, also where the device exports none.
#[test]
fn i15_every_plane_moves() {
    let _alone = alone();
    let device = device();
    let images = movable(&device);
    for format in [Fourcc::NV12, Fourcc::YUV420] {
        let desc = desc("planes", format, Extent::new(64, 48));
        if !images.placements(&desc).unwrap().has(Placement::Host) {
            assert!(!support::in_lab(), "the lab's device imports {format}");
            continue;
        }
        let shared = SharedBuffer::new_dynamic(&images, desc, &at(Placement::Host)).unwrap();
        let pixels = pattern(packed_size(format, Extent::new(64, 48)), 3);
        upload(&shared, &device, &pixels);
        for placement in [Placement::Shmem, Placement::Host] {
            move_to(&shared, placement);
            let what = format!("{format} in {placement}");
            assert_content(&shared, &[&device], &pixels, &what);
        }
    }
}

#[test]
fn the_kernel_sees_the_move() {
    let _alone = alone();
    let device = device();
    let images = movable(&device);
    let shared = movable_buffer(&images, small("seen"));
    let pixels = pattern(64 * 32 * 4, 1);
    upload(&shared, &device, &pixels);
    let first = inode(&shared);
    let on_the_device = kernel_exporter(first).unwrap();
    let named = |inode| {
        bufinfo()
            .iter()
            .any(|info| info.inode == inode && info.name == "seen")
    };
    assert!(named(first));
    move_to(&shared, Placement::Host);
    let second = inode(&shared);
    assert_ne!(first, second);
    assert_eq!(kernel_exporter(second).unwrap(), "system");
    assert!(named(second));
    if support::in_lab() {
        // Mesa's software Vulkan makes its memory of memfds.
        assert_eq!(on_the_device, "udmabuf");
    }
    // Let go and pooled, then gone.
    assert_eq!(shared.dispatch(), 1);
    assert!(kernel_exporter(first).is_some());
    let pooled = images.pooled(Placement::Device);
    assert!(pooled > 0);
    assert_eq!(images.shrink(Placement::Device, u64::MAX), pooled);
    assert_eq!(images.pooled(Placement::Device), 0);
    assert_eq!(kernel_exporter(first), None);
    move_to(&shared, Placement::Device);
    assert_eq!(kernel_exporter(inode(&shared)).unwrap(), on_the_device);
    shared.dispatch();
    images.shrink(Placement::Host, u64::MAX);
    assert_eq!(kernel_exporter(second), None);
    assert_content(&shared, &[&device], &pixels, "there and back");
}

#[test]
fn the_devices_own_attachments_share_the_image_in_host_memory() {
    let _alone = alone();
    let device = device();
    let images = movable(&device);
    let shared = movable_buffer(&images, small("own"));
    let on_the_device = map_dynamic(&shared, &device).object().raw();
    move_to(&shared, Placement::Host);
    let files = open_files().len();
    let (first, second) = (map_dynamic(&shared, &device), map_dynamic(&shared, &device));
    assert_eq!(first.object().raw(), second.object().raw());
    assert_ne!(first.object().raw(), on_the_device);
    assert_eq!(open_files().len(), files, "nothing was imported");
}

/// A copy waits for the work of both devices, and both devices' next work waits for the copy.
#[test]
fn i7_a_move_is_ordered_after_work_in_flight_on_two_devices() {
    let _alone = alone();
    let (device, other) = (device(), device());
    let images = movable(&device);
    let shared = movable_buffer(&images, small("two devices"));
    let pixels = pattern(64 * 32 * 4, 5);
    upload(&shared, &device, &pixels);
    let (own_sync, other_sync) = (SwSyncTimeline::new(), SwSyncTimeline::new());
    let in_other = map_dynamic(&shared, &other);
    let theirs = busy_until(&other, &in_other, &other_sync, 1);
    // A reader: it does not wait for the other device by itself.
    let file = dmashare::SyncFile::new(own_sync.fence(1)).unwrap();
    shared.add_fence(Access::Read, file.into()).unwrap();
    drop(in_other);
    let (moved, waited) = std::thread::scope(|scope| {
        // Making a semaphore of the other device's fence may block in its driver until it is done.
        let mover = scope.spawn(|| {
            let start = Instant::now();
            let moved = shared.move_to(&at(Placement::Host)).unwrap();
            (moved, start.elapsed())
        });
        std::thread::sleep(std::time::Duration::from_millis(150));
        assert_eq!(theirs.status(), FenceStatus::Pending);
        // Nobody is kept from looking meanwhile.
        let start = Instant::now();
        assert_eq!(shared.backing().placement(), Placement::Host);
        assert_eq!(shared.ready(Access::Read).status(), FenceStatus::Pending);
        assert!(start.elapsed() < std::time::Duration::from_millis(100));
        other_sync.increment(1);
        mover.join().unwrap()
    });
    assert!(waited < LONG);
    theirs.wait(LONG).unwrap();
    // The reader is not over.
    assert!(!moved.is_over());
    assert_eq!(moved.fence().unwrap().status(), FenceStatus::Pending);
    own_sync.increment(1);
    moved.wait(LONG).unwrap();
    assert_content(&shared, &[&device, &other], &pixels, "after both");
}

#[test]
fn i7_a_move_waits_for_a_sync_file_on_the_device_and_not_on_the_cpu() {
    let _alone = alone();
    let device = device();
    let images = movable(&device);
    let shared = movable_buffer(&images, small("sync_file"));
    let pixels = pattern(64 * 32 * 4, 6);
    upload(&shared, &device, &pixels);
    let sw_sync = SwSyncTimeline::new();
    let mapping = map_dynamic(&shared, &device);
    busy_until(&device, &mapping, &sw_sync, 1);
    let start = Instant::now();
    let moved = shared.move_to(&at(Placement::Host)).unwrap();
    assert!(start.elapsed() < std::time::Duration::from_secs(2));
    assert!(!moved.is_over());
    // Every later use waits, also that of the move back, which makes its memory without waiting.
    let mapping = map_dynamic(&shared, &device);
    let after = submit_empty(&device, &mapping, Access::Read);
    drop(mapping);
    let back = shared.move_to(&at(Placement::Device)).unwrap();
    assert!(start.elapsed() < std::time::Duration::from_secs(2));
    assert_eq!(after.status(), FenceStatus::Pending);
    assert!(!back.is_over());
    sw_sync.increment(1);
    back.wait(LONG).unwrap();
    assert!(moved.is_over() && after.status().is_over());
    assert_eq!(shared.backing().placement(), Placement::Device);
    assert_content(&shared, &[&device], &pixels, "there and back");
}

#[test]
fn a_copy_that_waits_for_software_is_submitted_by_dispatch() {
    let _alone = alone();
    let device = device();
    let images = movable(&device);
    let shared = movable_buffer(&images, small("software"));
    let pixels = pattern(64 * 32 * 4, 7);
    upload(&shared, &device, &pixels);
    let software = SoftwareTimeline::new("a program");
    shared.add_fence(Access::Read, software.fence(1)).unwrap();
    let bytes = images.bytes_moved();
    let attachment = shared
        .attach_dynamic(&device, Arc::new(AtomicBool::new(false)))
        .unwrap();
    let moved = shared.move_to(&at(Placement::Host)).unwrap();
    assert!(!moved.is_over());
    shared.dispatch();
    assert_eq!(images.bytes_moved(), bytes, "nothing was submitted");
    // Whoever wants to use it is told what to wait for.
    let mapping = attachment.map().unwrap();
    let refused = device.submission([mapping.read()]).map(drop);
    match refused {
        Err(SubmitError::NotReady { producer, .. }) => {
            assert_eq!(producer, "move of 'software'");
        }
        other => panic!("{other:?}"),
    }
    software.signal(1);
    shared.dispatch();
    assert!(images.bytes_moved() > bytes, "submitted");
    moved.wait(LONG).unwrap();
    assert_content(&shared, &[&device], &pixels, "after the program");
}

#[test]
fn a_failed_fence_holds_up_no_move() {
    let _alone = alone();
    let device = device();
    let images = movable(&device);
    let shared = movable_buffer(&images, small("failed"));
    let pixels = pattern(64 * 32 * 4, 8);
    upload(&shared, &device, &pixels);
    let software = SoftwareTimeline::new("a program that dies");
    shared.add_fence(Access::Read, software.fence(1)).unwrap();
    let sw_sync = SwSyncTimeline::new();
    let file = dmashare::SyncFile::new(sw_sync.fence(1)).unwrap();
    shared.add_fence(Access::Read, file.into()).unwrap();
    drop((software, sw_sync));
    move_to(&shared, Placement::Host);
    assert_content(&shared, &[&device], &pixels, "after the failures");
}

#[test]
fn i2_a_pinned_buffer_stays_where_it_is() {
    let _alone = alone();
    let device = device();
    let images = movable(&device);
    let shared = movable_buffer(&images, small("pinned"));
    let pinned = map(&shared, &device);
    let before = (
        inode(&shared),
        images.pooled(Placement::Host),
        images.bytes_moved(),
    );
    let refused = shared.move_to(&at(Placement::Host)).unwrap_err();
    assert!(matches!(refused, MoveError::Pinned { .. }), "{refused}");
    let after = (
        inode(&shared),
        images.pooled(Placement::Host),
        images.bytes_moved(),
    );
    assert_eq!(after, before);
    assert!(!pinned.is_stale());
    drop(pinned);
    move_to(&shared, Placement::Host);
}

/// The layout that the driver gives the image does not fit, so it is made in host memory.
#[test]
fn a_stride_that_the_device_does_not_have_moves_an_image_to_host_memory() {
    let _alone = alone();
    let device = device();
    let images = movable(&device);
    let extent = Extent::new(333, 77);
    let shared = movable_buffer(&images, desc("stride", Fourcc::XRGB8888, extent));
    let stride = |shared: &SharedBuffer| shared.backing().dmabuf().layout().planes()[0].stride;
    let pixels = pattern(packed_size(Fourcc::XRGB8888, extent), 9);
    upload(&shared, &device, &pixels);
    if support::in_lab() {
        assert_eq!(stride(&shared), 1344);
    }
    let mut wanted = AccessConstraint::default();
    wanted.stride_alignment = 256;
    let fits = stride(&shared).is_multiple_of(256);
    shared.move_to(&wanted).unwrap().wait(LONG).unwrap();
    assert!(stride(&shared).is_multiple_of(256));
    let placement = shared.backing().placement();
    assert_eq!(
        placement,
        if fits {
            Placement::Device
        } else {
            Placement::Host
        }
    );
    assert_content(&shared, &[&device], &pixels, "with another stride");
    // On the device only, there is nothing to be had, and nothing is left behind.
    wanted.stride_alignment = 4096 + 4;
    wanted.placements = Placements::DEVICE;
    shared.dispatch();
    let before = (open_files(), bufinfo());
    let error = images.allocate_in(shared.desc(), &wanted).unwrap_err();
    let ExportError::Device { source, .. } = &error else {
        panic!("{error:?}");
    };
    let misaligned = source.downcast_ref::<StrideMisaligned>().unwrap();
    assert_eq!(misaligned.alignment, 4100);
    assert_eq!((open_files(), bufinfo()), before);
    let refused = shared.move_to(&wanted).unwrap_err();
    assert!(matches!(refused, MoveError::Export { .. }), "{refused}");
    assert_eq!((open_files(), bufinfo()), before);
    // Host memory has any stride.
    wanted.placements = Placements::HOST;
    shared.move_to(&wanted).unwrap().wait(LONG).unwrap();
    assert!(stride(&shared).is_multiple_of(4100));
    assert_content(&shared, &[&device], &pixels, "with an odd stride");
}

#[test]
fn what_there_is_not_is_refused() {
    let _alone = alone();
    let device = device();
    let images = MovableImages::new(&device, None);
    assert_eq!(
        images.placements(&small("device")).unwrap(),
        Placements::DEVICE
    );
    let shared = movable_buffer(&images, small("device"));
    let refused = shared.move_to(&at(Placement::Host)).unwrap_err();
    assert!(
        matches!(refused, MoveError::NoPlacement { .. }),
        "{refused}"
    );
    let nowhere = images.allocate_in(shared.desc(), &at(Placement::Shmem));
    assert!(matches!(nowhere, Err(ExportError::NoPlacement { .. })));
    let unknown = images.allocate(shared.desc(), &[Modifier::new(0x0300_0000_0000_0001)]);
    assert!(
        matches!(unknown, Err(ExportError::UnsupportedModifier { .. })),
        "{unknown:?}"
    );
    let offered = images.modifiers(shared.desc()).unwrap();
    assert!(offered.contains(&Modifier::LINEAR));
    assert!(images.allocate(shared.desc(), &offered).is_ok());
}

/// A thread that holds the queue gets an error, and the buffer stays.
#[test]
fn who_holds_the_queue_moves_nothing() {
    let _alone = alone();
    let device = device();
    let images = movable(&device);
    let shared = movable_buffer(&images, small("held"));
    let pixels = pattern(64 * 32 * 4, 10);
    upload(&shared, &device, &pixels);
    let queue = device.queue().unwrap();
    let refused = shared.move_to(&at(Placement::Host)).unwrap_err();
    assert!(matches!(refused, MoveError::Copy { .. }), "{refused}");
    drop(queue);
    assert_eq!(shared.backing().placement(), Placement::Device);
    assert_content(&shared, &[&device], &pixels, "not moved");
    move_to(&shared, Placement::Host);
}

#[test]
fn a_lost_device_moves_nothing_and_keeps_the_content() {
    let _alone = alone();
    let instance = support::instance();
    let physical = instance.select(&DeviceSelector::Any).unwrap();
    drop(Device::open(&physical).unwrap());
    let before = (open_files(), bufinfo());
    let device = Device::open(&physical).unwrap();
    let other = Device::open(&physical).unwrap();
    let images = movable(&device);
    let shared = movable_buffer(&images, small("lost"));
    let pixels = pattern(64 * 32 * 4, 11);
    upload(&shared, &device, &pixels);
    move_to(&shared, Placement::Host);
    shared.dispatch();
    let software = SoftwareTimeline::new("a program");
    shared.add_fence(Access::Read, software.fence(1)).unwrap();
    // Its copy is still to be submitted when the device goes.
    let moved = shared.move_to(&at(Placement::Shmem)).unwrap();
    let bytes = images.bytes_moved();
    device.mark_lost();
    software.signal(1);
    shared.dispatch();
    assert!(moved.is_over());
    assert_eq!(shared.backing().placement(), Placement::Host);
    let refused = shared.move_to(&at(Placement::Device)).unwrap_err();
    assert!(matches!(refused, MoveError::Export { .. }), "{refused}");
    assert_eq!(images.bytes_moved(), bytes);
    // Others still read what was there.
    assert_content(&shared, &[&other], &pixels, "frozen");
    drop((shared, images, moved));
    device.dispatch();
    drop((device, other));
    assert_eq!((open_files(), bufinfo()), before);
}

#[test]
fn the_driver_tells_what_may_be_used() {
    let _alone = alone();
    let device = device();
    let budget = device.memory_budget();
    assert!(budget.is_some() || !support::in_lab());
    if let Some(budget) = budget {
        let limit = budget
            .limit(Placement::Device)
            .or(budget.limit(Placement::Host));
        assert!(limit.unwrap() > 0);
    }
}
