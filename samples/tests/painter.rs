//! The painter's pixels against the picture, bit by bit.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use dmashare::{Access, BufferDesc, Extent, Fourcc, Mapping, SharedBuffer, Usage};
use dmashare_samples::painter::Painter;
use dmashare_samples::pixel_format::PixelFormat;
use dmashare_vk::Device;
use support::pixels::vulkan_reads;
use support::{device, map};

const USAGE: Usage = Usage::RENDER.union(Usage::TRANSFER_SOURCE);

fn image(device: &Device, extent: Extent, format: Fourcc) -> (SharedBuffer, Mapping<Device>) {
    image_for(device, extent, format, USAGE)
}

fn image_for(
    device: &Device,
    extent: Extent,
    format: Fourcc,
    usage: Usage,
) -> (SharedBuffer, Mapping<Device>) {
    let desc = BufferDesc::new("painter test", extent, format, usage);
    let shared = SharedBuffer::new(device, desc, &exportable(device, format)).unwrap();
    let mapping = map(&shared, device);
    (shared, mapping)
}

fn exportable(device: &Device, format: Fourcc) -> Vec<dmashare::Modifier> {
    let offered = device.physical_device().modifiers(format, USAGE).unwrap();
    let exportable = offered.iter().filter(|support| support.exportable);
    exportable.map(|support| support.modifier).collect()
}

#[test]
fn every_format_has_the_pictures_bits() {
    let device = device();
    let mut drawn = Vec::new();
    for format in PixelFormat::all().iter().map(PixelFormat::fourcc) {
        if exportable(&device, format).is_empty() {
            continue;
        }
        let mut painter = Painter::new(&device, format).unwrap();
        for (width, height) in [(1, 1), (2, 7), (333, 77), (640, 480)] {
            let (_shared, image) = image(&device, Extent::new(width, height), format);
            for frame in [0, 1, 123_456, 999_999] {
                painter.draw(&image, frame).unwrap();
                vulkan_reads(&device, &image, frame);
            }
        }
        drawn.push(format);
    }
    for format in [
        Fourcc::XRGB8888,
        Fourcc::ARGB8888,
        Fourcc::ABGR8888,
        Fourcc::RGB565,
        Fourcc::ARGB2101010,
        Fourcc::ABGR2101010,
        Fourcc::ABGR16161616,
        Fourcc::ABGR16161616F,
    ] {
        assert!(
            drawn.contains(&format),
            "{format} was not drawn, only {drawn:?}"
        );
    }
}

#[test]
fn large_images_have_the_pictures_bits() {
    let device = device();
    let mut painter = Painter::new(&device, Fourcc::XRGB8888).unwrap();
    for (width, height) in [(1920, 1080), (4096, 2160), (16384, 3), (3, 16384)] {
        let (_shared, image) = image(&device, Extent::new(width, height), Fourcc::XRGB8888);
        painter.draw(&image, 77).unwrap();
        vulkan_reads(&device, &image, 77);
    }
}

#[test]
fn command_buffers_are_used_again() {
    let device = device();
    let mut painter = Painter::new(&device, Fourcc::XRGB8888).unwrap();
    let (shared, image) = image(&device, Extent::new(64, 64), Fourcc::XRGB8888);
    for frame in 0..20 {
        painter.draw(&image, frame).unwrap();
        shared
            .wait_ready(Access::Write, Duration::from_secs(10))
            .unwrap();
        device.dispatch();
    }
    assert_eq!(painter.command_buffers(), 1);
    vulkan_reads(&device, &image, 19);
    // Not waited for in between: the frames are still drawn in order, and the last one stays.
    for frame in 20..50 {
        painter.draw(&image, frame).unwrap();
    }
    vulkan_reads(&device, &image, 49);
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let device = device();
    let planar = Painter::new(&device, Fourcc::NV12).unwrap_err();
    assert!(
        planar
            .to_string()
            .contains("cannot be drawn in format NV12"),
        "{planar}"
    );

    let mut painter = Painter::new(&device, Fourcc::XRGB8888).unwrap();
    let (_shared, other) = image(&device, Extent::new(8, 8), Fourcc::RGB565);
    let error = painter.draw(&other, 0).unwrap_err();
    assert!(
        error.to_string().contains("draws XR24, not RG16"),
        "{error}"
    );

    let usage = Usage::TRANSFER_SOURCE;
    let (_shared, image) = image_for(&device, Extent::new(8, 8), Fourcc::XRGB8888, usage);
    let error = painter.draw(&image, 0).unwrap_err();
    assert!(error.to_string().contains("Usage::RENDER"), "{error}");
}
