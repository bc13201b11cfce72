//! A second, different driver takes part: SwiftShader, which has no dma-bufs, by shadows that say why.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/second_driver.rs"]
mod second_driver;
mod support;

use dmashare::route::{Route, RoutePolicy, ShadowReason};
use dmashare::{
    AttachError, Damage, DmaBuf, Extent, Fourcc, Importer, Modifier, Placement, PlaneFd, Rectangle,
    RouteError, SharedBuffer,
};
use dmashare_lab_probe::{bufinfo, open_files};
use second_driver::{
    EVEN, EXTENSION, FORMATS, ODD, assert_says, attach, by_cpu, by_queue, chain, devices, read,
    routed, shadow_route,
};
use support::{alone, assert_same_bytes, cpu_write, desc, heap, packed_size, pattern, upload};

#[test]
fn other_strides_take_a_shadow_that_says_why() {
    let _alone = alone();
    let (llvmpipe, swiftshader) = devices();
    for (seed, format) in (0..).zip(FORMATS) {
        let linear = [Modifier::LINEAR];
        let described = desc(&format!("padded {format}"), format, ODD);
        let buffer = SharedBuffer::new(&heap(), described, &linear).unwrap();
        let row = format.info().unwrap().planes[0].row_bytes(ODD.width);
        for routes in [by_cpu(), by_queue(&llvmpipe)] {
            let pixels = pattern(packed_size(format, ODD), seed);
            cpu_write(buffer.backing().dmabuf(), &pixels);
            let attachment = routed(&routes, &buffer, &swiftshader);
            let route = shadow_route(&attachment);
            let stride = buffer.backing().dmabuf().layout().planes()[0].stride;
            let text = route.reason.to_string();
            let (own, taken) = (format!("{stride} bytes"), format!("exactly {row} bytes"));
            assert_says(&text, &[&own, &taken, EXTENSION, "SwiftShader"]);
            assert!(matches!(route.reason, ShadowReason::Unreachable { .. }));
            let shadow = attachment.shadow().unwrap().backing();
            let shadow_stride = shadow.dmabuf().layout().planes()[0].stride;
            assert_eq!(u64::from(shadow_stride), row, "{format}");
            let what = buffer.desc().name.clone();
            assert_same_bytes(&read(&attachment, &swiftshader), &pixels, &what);
            assert_eq!(attachment.bytes_copied(), pixels.len() as u64);
        }
    }
}

#[test]
fn what_changes_arrives_and_no_more() {
    let _alone = alone();
    let (_, swiftshader) = devices();
    let described = desc("damaged", Fourcc::XRGB8888, ODD);
    let buffer = SharedBuffer::new(&heap(), described, &[Modifier::LINEAR]).unwrap();
    let attachment = routed(&by_cpu(), &buffer, &swiftshader);
    let old = read(&attachment, &swiftshader);
    let new: Vec<u8> = old.iter().map(|byte| byte ^ 0xff).collect();
    cpu_write(buffer.backing().dmabuf(), &new);
    buffer.written(&Damage::from(Rectangle::new(3, 5, 10, 2)));
    let before = attachment.bytes_copied();
    let mut expected = old;
    for y in 5..7 {
        let row = (y * 100 + 3) * 4..(y * 100 + 13) * 4;
        expected[row.clone()].copy_from_slice(&new[row]);
    }
    assert_same_bytes(&read(&attachment, &swiftshader), &expected, "partly new");
    assert_eq!(attachment.bytes_copied() - before, 80);
    buffer.written(&Damage::whole());
    assert_same_bytes(&read(&attachment, &swiftshader), &new, "all new");
}

#[test]
fn what_another_device_exports_takes_a_shadow() {
    let _alone = alone();
    let (llvmpipe, swiftshader) = devices();
    for extent in [EVEN, ODD] {
        for (seed, format) in (0..).zip(FORMATS) {
            let described = desc(&format!("exported {format}"), format, extent);
            let image = SharedBuffer::new(&llvmpipe, described, &[Modifier::LINEAR]).unwrap();
            assert_eq!(image.backing().placement(), Placement::Device);
            for routes in [by_cpu(), by_queue(&llvmpipe)] {
                let attachment = routed(&routes, &image, &swiftshader);
                let text = shadow_route(&attachment).reason.to_string();
                assert_says(&text, &["device memory", EXTENSION, "SwiftShader"]);
                for seed in [seed, seed + 100] {
                    let pixels = pattern(packed_size(format, extent), seed);
                    upload(&image, &llvmpipe, &pixels);
                    let what = &image.desc().name;
                    assert_same_bytes(&read(&attachment, &swiftshader), &pixels, what);
                }
            }
        }
    }
}

#[test]
fn a_buffer_that_can_move_moves_to_where_it_is_taken() {
    let _alone = alone();
    let (llvmpipe, swiftshader) = devices();
    let images = support::movable(&llvmpipe);
    let image = support::movable_buffer(&images, desc("movable", Fourcc::XRGB8888, ODD));
    let pixels = pattern(packed_size(Fourcc::XRGB8888, ODD), 7);
    upload(&image, &llvmpipe, &pixels);
    let attachment = routed(&by_cpu(), &image, &swiftshader);
    assert_eq!(attachment.route(), Route::Direct);
    assert_same_bytes(&read(&attachment, &swiftshader), &pixels, "moved");
    assert_eq!(image.backing().placement(), Placement::Host);
    assert_eq!(image.backing().dmabuf().layout().planes()[0].stride, 400);
    // llvmpipe takes it there, too.
    let pixels = pattern(pixels.len(), 8);
    upload(&image, &llvmpipe, &pixels);
    assert_same_bytes(&read(&attachment, &swiftshader), &pixels, "written there");
}

#[test]
fn what_is_refused_names_its_reason() {
    let _alone = alone();
    let (llvmpipe, swiftshader) = devices();
    let linear = [Modifier::LINEAR];
    let padded =
        SharedBuffer::new(&heap(), desc("padded", Fourcc::XRGB8888, ODD), &linear).unwrap();
    // Without a route.
    match padded.attach(&swiftshader) {
        Err(AttachError::Unreachable { reason, .. }) => {
            assert_says(&reason, &[EXTENSION, "exactly 400 bytes"]);
        }
        other => panic!("{other:?}"),
    }
    let image = SharedBuffer::new(&llvmpipe, support::small("image"), &linear).unwrap();
    match attach(&by_cpu(), &image, &swiftshader, RoutePolicy::DirectOnly) {
        Err(RouteError::NotDirect { reason, .. }) => assert_says(&reason.to_string(), &[EXTENSION]),
        other => panic!("{other:?}"),
    }
    // Several planes, of which the driver would choose the offsets.
    let nv12 = SharedBuffer::new(&heap(), desc("nv12", Fourcc::NV12, EVEN), &linear).unwrap();
    match attach(&by_cpu(), &nv12, &swiftshader, RoutePolicy::Automatic) {
        Err(RouteError::NoRoute {
            reason, detours, ..
        }) => {
            assert_says(&reason.to_string(), &["cannot import NV12"]);
            assert_says(&chain(&detours[0].error), &["cannot import NV12"]);
        }
        other => panic!("{other:?}"),
    }
    // A dma-buf of which nobody knows where it is: by a shadow.
    let plane = PlaneFd {
        fd: heap()
            .allocate_memory(8192)
            .unwrap()
            .duplicate_fd()
            .unwrap(),
        offset: 0,
        stride: 256,
    };
    let (format, extent) = (Fourcc::XRGB8888, Extent::new(64, 32));
    let found = DmaBuf::new(format, extent, Modifier::LINEAR, [plane]).unwrap();
    let found = SharedBuffer::from_dmabuf(support::small("found"), found).unwrap();
    let text = shadow_route(&routed(&by_cpu(), &found, &swiftshader))
        .reason
        .to_string();
    assert_says(&text, &["an unknown place", EXTENSION]);
}

#[test]
fn nothing_is_left() {
    let _alone = alone();
    let (llvmpipe, swiftshader) = devices();
    let round = || {
        let linear = [Modifier::LINEAR];
        for extent in [EVEN, ODD] {
            let described = || desc("left", Fourcc::XRGB8888, extent);
            let buffer = SharedBuffer::new(&heap(), described(), &linear).unwrap();
            let image = SharedBuffer::new(&llvmpipe, described(), &linear).unwrap();
            for source in [buffer, image] {
                let attachment = routed(&by_cpu(), &source, &swiftshader);
                read(&attachment, &swiftshader);
                assert!(
                    swiftshader.import(source.desc(), &source.backing()).is_ok()
                        == (attachment.route() == Route::Direct)
                );
            }
        }
        swiftshader.dispatch();
        llvmpipe.dispatch();
    };
    // A mapping keeps its memory without any descriptor: the kernel's list tells.
    round();
    let before = (open_files(), bufinfo());
    for _ in 0..3 {
        round();
    }
    assert_eq!((open_files(), bufinfo()), before);
    assert_eq!(swiftshader.retired(), 0);
}
