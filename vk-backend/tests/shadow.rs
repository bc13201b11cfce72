//! Shadows that a device's queue keeps fresh.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use dmashare::host::HostMemory;
use dmashare::route::{Detour, RoutePolicy, RoutedAttachment, Routes};
use dmashare::{
    Access, BufferDesc, CopyError, Damage, Extent, Fourcc, Modifier, Placement, Rectangle,
    RouteError, SharedBuffer, SoftwareTimeline, Submission, Usage,
};
use dmashare_vk::Device;
use support::{
    LONG, assert_same_bytes, cpu_read, cpu_write, desc, device, heap, movable, movable_buffer,
    move_to, packed_size, pattern, udmabuf, upload,
};

fn memory() -> HostMemory {
    HostMemory::new(Some(heap()), Some(udmabuf()))
}

/// Shadows in host memory that `engine` fills.
fn routes(engine: &Device) -> Routes {
    Routes::new().with_detour(Detour::moving(&memory(), engine.clone()))
}

fn shadowed(source: &SharedBuffer, engine: &Device, reader: &Device) -> RoutedAttachment<Device> {
    let never = Arc::new(AtomicBool::new(false));
    routes(engine)
        .attach(source, reader, RoutePolicy::ShadowOnly, never)
        .unwrap()
}

fn read(attachment: &RoutedAttachment<Device>, reader: &Device) -> Vec<u8> {
    let mapping = attachment.map().unwrap();
    reader.transfer().download(&mapping).unwrap()
}

#[test]
fn the_queue_copies_every_format() {
    let (engine, reader) = (device(), device());
    for (seed, format) in [
        Fourcc::XRGB8888,
        Fourcc::R8,
        Fourcc::GR88,
        Fourcc::RGB565,
        Fourcc::ABGR16161616F,
        Fourcc::NV12,
        Fourcc::YUV420,
    ]
    .into_iter()
    .enumerate()
    {
        let extent = Extent::new(98, 34);
        let name = format!("shadowed {format}");
        let source =
            SharedBuffer::new(&heap(), desc(&name, format, extent), &[Modifier::LINEAR]).unwrap();
        let pixels = pattern(packed_size(format, extent), u32::try_from(seed).unwrap());
        cpu_write(source.backing().dmabuf(), &pixels);
        let attachment = shadowed(&source, &engine, &reader);
        assert_same_bytes(&read(&attachment, &reader), &pixels, &name);
        assert_eq!(attachment.bytes_copied(), pixels.len() as u64, "{name}");
        assert!(engine.bytes_copied() >= pixels.len() as u64);
    }
}

#[test]
fn the_queue_copies_the_damage_only() {
    let (engine, reader) = (device(), device());
    let (format, extent) = (Fourcc::XRGB8888, Extent::new(100, 100));
    let source = SharedBuffer::new(
        &heap(),
        desc("damaged", format, extent),
        &[Modifier::LINEAR],
    )
    .unwrap();
    let attachment = shadowed(&source, &engine, &reader);
    let old = read(&attachment, &reader);
    // All changes, one percent is told in two pieces, and only that may arrive.
    let new: Vec<u8> = old.iter().map(|byte| byte ^ 0xff).collect();
    cpu_write(source.backing().dmabuf(), &new);
    let told = [Rectangle::new(3, 5, 10, 5), Rectangle::new(50, 90, 5, 10)];
    source.written(&told.into_iter().collect());
    let (before, before_device) = (attachment.bytes_copied(), engine.bytes_copied());
    let mut expected = old;
    for piece in told {
        for y in piece.y..piece.y + i32::try_from(piece.height).unwrap() {
            let start = usize::try_from(y * 100 + piece.x).unwrap() * 4;
            let row = start..start + usize::try_from(piece.width).unwrap() * 4;
            expected[row.clone()].copy_from_slice(&new[row]);
        }
    }
    assert_same_bytes(&read(&attachment, &reader), &expected, "partly new");
    assert_eq!(attachment.bytes_copied() - before, 400);
    assert_eq!(engine.bytes_copied() - before_device, 400);
}

#[test]
fn damage_of_subsampled_planes_is_widened_to_whole_samples() {
    let (engine, reader) = (device(), device());
    let (format, extent) = (Fourcc::NV12, Extent::new(64, 32));
    let source =
        SharedBuffer::new(&heap(), desc("chroma", format, extent), &[Modifier::LINEAR]).unwrap();
    let attachment = shadowed(&source, &engine, &reader);
    drop(attachment.map().unwrap());
    let pixels = pattern(packed_size(format, extent), 9);
    cpu_write(source.backing().dmabuf(), &pixels);
    // One pixel in the middle of a block: one byte of luma, and the pair of its chroma.
    source.written(&Damage::from(Rectangle::new(5, 7, 1, 1)));
    let before = attachment.bytes_copied();
    let copy = read(&attachment, &reader);
    assert_eq!(attachment.bytes_copied() - before, 3);
    let (luma, chroma) = (7 * 64 + 5, 64 * 32 + 3 * 64 + 2 * 2);
    assert_eq!(copy[luma], pixels[luma]);
    assert_eq!(copy[chroma..chroma + 2], pixels[chroma..chroma + 2]);
}

#[test]
fn a_buffer_on_the_device_is_followed_when_it_moves() {
    let (engine, reader) = (device(), device());
    let images = movable(&engine);
    let source = movable_buffer(&images, support::small("followed"));
    let attachment = shadowed(&source, &engine, &reader);
    let length = packed_size(Fourcc::XRGB8888, Extent::new(64, 32));
    for (seed, place) in [
        Placement::Host,
        Placement::Device,
        Placement::Shmem,
        Placement::Device,
    ]
    .into_iter()
    .enumerate()
    {
        let pixels = pattern(length, u32::try_from(seed).unwrap() + 1);
        upload(&source, &engine, &pixels);
        move_to(&source, place);
        assert_same_bytes(&read(&attachment, &reader), &pixels, &format!("{place}"));
        let shadow = attachment.shadow().unwrap();
        assert_same_bytes(
            &cpu_read(shadow.backing().dmabuf()),
            &pixels,
            "the shadow itself",
        );
    }
}

#[test]
fn the_copy_waits_for_a_display_that_reads_the_shadow() {
    let (engine, reader) = (device(), device());
    let source = SharedBuffer::new(&heap(), support::small("shown"), &[Modifier::LINEAR]).unwrap();
    let attachment = shadowed(&source, &engine, &reader);
    let display = SoftwareTimeline::new("display");
    let mapping = attachment.map().unwrap();
    Submission::begin([mapping.read()])
        .unwrap()
        .commit(&display.fence(1));
    let pixels = pattern(packed_size(Fourcc::XRGB8888, Extent::new(64, 32)), 4);
    cpu_write(source.backing().dmabuf(), &pixels);
    source.written(&Damage::whole());
    let shadow = attachment.shadow().unwrap();
    // The first copy is queued; this reads without the library's fences.
    shadow.wait_ready(Access::Read, LONG).unwrap();
    let shadow = shadow.backing();
    let shown = cpu_read(shadow.dmabuf());
    std::thread::scope(|scope| {
        let mapped = scope.spawn(|| attachment.map().map(drop));
        // It cannot come before the signal, however long that takes.
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert_same_bytes(&cpu_read(shadow.dmabuf()), &shown, "still shown");
        display.signal(1);
        mapped.join().unwrap().unwrap();
    });
    attachment
        .shadow()
        .unwrap()
        .wait_ready(Access::Read, LONG)
        .unwrap();
    assert_same_bytes(&cpu_read(shadow.dmabuf()), &pixels, "the next picture");
}

#[test]
fn a_buffer_that_was_not_made_for_copies_is_refused_by_name() {
    let (engine, reader) = (device(), device());
    let described = BufferDesc::new(
        "sampled only",
        Extent::new(64, 32),
        Fourcc::XRGB8888,
        Usage::SAMPLE,
    );
    let source = SharedBuffer::new(&heap(), described, &[Modifier::LINEAR]).unwrap();
    let never = Arc::new(AtomicBool::new(false));
    match routes(&engine).attach(&source, &reader, RoutePolicy::ShadowOnly, never) {
        Err(RouteError::NoRoute { detours, .. }) => assert!(
            matches!(&detours[0].error, CopyError::Usage { usage, .. } if *usage == Usage::TRANSFER_SOURCE),
            "{detours:?}"
        ),
        other => panic!("{other:?}"),
    }
    assert!(source.attachments().is_empty());
}
