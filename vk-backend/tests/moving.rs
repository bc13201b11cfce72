//! `MovableImages`: content across moves, the kernel's view of them, and what is refused.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use dmashare::{
    Access, DynamicExporter, ExportError, Exporter, Extent, Fourcc, Modifier, MoveError, Placement,
    Placements, SharedBuffer, SoftwareTimeline,
};
use dmashare_lab_probe::{bufinfo, open_files};
use dmashare_vk::{Device, DeviceSelector, MovableImages};
use support::{
    COPY, alone, assert_content, at, desc, device, inode, kernel_exporter, map, map_dynamic,
    movable, movable_buffer, move_to, packed_size, pattern, small, upload,
};

const PLACES: [Placement; 5] = [
    Placement::Host,
    Placement::Device,
    Placement::Shmem,
    Placement::Host,
    Placement::Device,
];

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
