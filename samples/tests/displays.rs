//! Vulkan, displays and other exporters: different devices draw, show and read the same memory, and every
//! pixel is compared.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use dmashare::host::{DmaHeap, Udmabuf};
use dmashare::{
    Access, AttachError, CpuAccess, CpuMapping, Exporter, Extent, Fence, Fourcc, ImportError,
    LayoutError, Mapping, Modifier, SharedBuffer, Usage,
};
use dmashare_drm::{Card, DumbBuffers, PlaneCommit, PlaneKind, Rectangle};
use dmashare_samples::capture::Capture;
use dmashare_samples::painter::Painter;
use dmashare_samples::picture::Picture;
use support::display::{open_display, show};
use support::pixels::{cpu_reads, is_frame, picture, pixel_format, vulkan_reads, write};
use support::{cards, device, displays, dmabufs_named, map, new_buffer};

const EXTENT: Extent = Extent::new(640, 480);
const SHOWN: Usage = Usage::RENDER.union(Usage::SCANOUT);

/// Where the display writes what it shows.
fn capture_target(card: &Card, format: Fourcc) -> SharedBuffer {
    new_buffer(&card.dumb_buffers(), EXTENT, format, Usage::CPU_READ)
}

/// Writes a frame with the CPU.
fn draw_with_cpu(buffer: &SharedBuffer, frame: u32) {
    let dmabuf = buffer.backing().dmabuf().clone();
    write(&dmabuf, &picture(dmabuf.format(), dmabuf.extent(), frame));
}

fn primary(framebuffer: &Mapping<Card>, fence: &Fence) -> PlaneCommit {
    PlaneCommit::primary(framebuffer).fence(fence)
}

#[test]
fn what_vulkan_draws_is_what_the_display_shows() {
    let _displays = displays();
    let device = device();
    let (card, output) = open_display(0);
    let mut shown = Vec::new();
    for format in [
        Fourcc::XRGB8888,
        Fourcc::ARGB8888,
        Fourcc::XBGR8888,
        Fourcc::ABGR8888,
        Fourcc::RGB565,
        Fourcc::ABGR16161616,
    ] {
        if !output.formats().contains(format, Modifier::LINEAR) {
            continue;
        }
        let buffer = new_buffer(&device, EXTENT, format, SHOWN);
        let (image, framebuffer) = (map(&buffer, &device), map(&buffer, &card));
        // As deep as the deepest, so that nothing is lost on the way.
        let target = capture_target(&card, Fourcc::XRGB16161616);
        let mut cpu = CpuMapping::new(target.backing().dmabuf(), Access::Read).unwrap();
        let onto = map(&target, &card);
        let mut painter = Painter::new(&device, format).unwrap();
        for frame in [0, 41] {
            // The display lets go of the buffer, whose frame has been captured.
            if frame > 0 {
                let other = map(&capture_target(&card, Fourcc::XRGB8888), &card);
                show(&card, &output, vec![PlaneCommit::primary(&other)], &onto);
            }
            let fence = painter.draw(&image, frame).unwrap();
            show(&card, &output, vec![primary(&framebuffer, &fence)], &onto);
            is_frame(&Capture::read(&mut cpu).unwrap(), frame, format);
        }
        assert_eq!(device.bytes_copied(), 0);
        shown.push(format);
    }
    for format in [
        Fourcc::XRGB8888,
        Fourcc::ARGB8888,
        Fourcc::ABGR8888,
        Fourcc::RGB565,
    ] {
        assert!(
            shown.contains(&format),
            "{format} was not shown, only {shown:?}"
        );
    }
    drop((card, output, device));
    support::eventually("every dma-buf is gone", || {
        dmabufs_named("test buffer") == 0
    });
}

#[test]
fn an_odd_image_on_an_overlay_plane() {
    let _displays = displays();
    let device = device();
    let (card, output) = open_display(0);
    let small = Extent::new(333, 77);
    let at = (101_u32, 53_u32);
    let below = new_buffer(&device, EXTENT, Fourcc::XRGB8888, SHOWN);
    let above = new_buffer(&device, small, Fourcc::XRGB8888, SHOWN);
    let mut painter = Painter::new(&device, Fourcc::XRGB8888).unwrap();
    let behind = painter.draw(&map(&below, &device), 5).unwrap();
    let front = painter.draw(&map(&above, &device), 6).unwrap();
    let target = capture_target(&card, Fourcc::XRGB8888);
    let overlay = output
        .planes()
        .iter()
        .find(|plane| plane.kind() == PlaneKind::Overlay);
    let planes = vec![
        primary(&map(&below, &card), &behind),
        PlaneCommit::on(overlay.unwrap(), &map(&above, &card))
            .fence(&front)
            .source(Rectangle::new(0, 0, small.width, small.height))
            .destination(Rectangle::new(101, 53, small.width, small.height)),
    ];
    show(&card, &output, planes, &map(&target, &card));

    let format = pixel_format(Fourcc::XRGB8888);
    let (below, above) = (Picture::new(EXTENT, 5), Picture::new(small, 6));
    let access = CpuAccess::begin(target.backing().dmabuf(), Access::Read).unwrap();
    let mut row = vec![0; 640 * 4];
    for y in 0..480_u32 {
        access.read_row(0, y, &mut row).unwrap();
        for (x, bytes) in (0_u32..).zip(row.chunks_exact(4)) {
            let found = u64::from(u32::from_le_bytes(bytes.try_into().unwrap())) & format.mask();
            let color = match (x.checked_sub(at.0), y.checked_sub(at.1)) {
                (Some(x @ 0..333), Some(y @ 0..77)) => above.pixel(x, y),
                _ => below.pixel(x, y),
            };
            assert_eq!(found, format.encode(color), "({x}, {y})");
        }
    }
}

#[test]
fn the_display_captures_into_memory_of_vulkan() {
    let _displays = displays();
    let device = device();
    let (card, output) = open_display(0);
    let usage = Usage::RENDER | Usage::SCANOUT | Usage::TRANSFER_SOURCE;
    let shown = new_buffer(&device, EXTENT, Fourcc::XRGB8888, usage);
    let captured = new_buffer(&device, EXTENT, Fourcc::XRGB8888, usage);
    let mut painter = Painter::new(&device, Fourcc::XRGB8888).unwrap();
    let image = map(&captured, &device);
    // So that it is seen to change.
    painter.draw(&image, 1000).unwrap();
    captured
        .wait_ready(Access::Write, Duration::from_secs(10))
        .unwrap();
    let fence = painter.draw(&map(&shown, &device), 9).unwrap();
    let framebuffer = map(&shown, &card);
    show(
        &card,
        &output,
        vec![primary(&framebuffer, &fence)],
        &map(&captured, &card),
    );
    vulkan_reads(&device, &image, 9);
}

/// Memory of `exporter`, written by the CPU and read by Vulkan, then the other way round.
/// `draws_odd`: whether it has room for what Vulkan's software rasteriser draws beyond an image.
fn vulkan_uses<E: Exporter + Clone + 'static>(exporter: &E, draws_odd: bool) {
    let device = device();
    let read = Usage::TRANSFER_SOURCE | Usage::CPU_READ | Usage::CPU_WRITE;
    for format in [
        Fourcc::XRGB8888,
        Fourcc::ABGR8888,
        Fourcc::RGB565,
        Fourcc::ABGR16161616,
    ] {
        for (width, height) in [(1, 1), (333, 77)] {
            let buffer = new_buffer(exporter, Extent::new(width, height), format, read);
            draw_with_cpu(&buffer, 3);
            vulkan_reads(&device, &map(&buffer, &device), 3);
        }
        let mut painter = Painter::new(&device, format).unwrap();
        let usage = read | Usage::RENDER;
        let odd = new_buffer(exporter, Extent::new(333, 77), format, usage);
        match (odd.attach(&device), draws_odd) {
            (Ok(attachment), true) => {
                painter.draw(&attachment.map().unwrap(), 5).unwrap();
                cpu_reads(&odd, 5);
            }
            // llvmpipe draws whole blocks of four by four pixels, for which dumb buffers of this
            // size have no room.
            (Err(AttachError::Import { source, .. }), false) => assert!(
                matches!(
                    source,
                    ImportError::MemoryTooSmall { .. }
                        | ImportError::Layout(LayoutError::StrideTooSmall { .. })
                ),
                "{source}"
            ),
            (attached, _) => panic!("{format}: {attached:?}"),
        }
        for (width, height) in [(16, 16), (332, 76), (1920, 1080)] {
            let buffer = new_buffer(exporter, Extent::new(width, height), format, usage);
            draw_with_cpu(&buffer, 3);
            let image = map(&buffer, &device);
            vulkan_reads(&device, &image, 3);
            painter.draw(&image, 4).unwrap();
            cpu_reads(&buffer, 4);
        }
    }
}

#[test]
fn vulkan_uses_dumb_buffers_of_vgem() {
    vulkan_uses(&DumbBuffers::of_driver("vgem").unwrap(), false);
}

#[test]
fn vulkan_uses_dumb_buffers_of_vkms() {
    vulkan_uses(&DumbBuffers::of_driver("vkms").unwrap(), false);
}

#[test]
fn vulkan_uses_a_dma_heap() {
    vulkan_uses(&DmaHeap::open("system").unwrap(), true);
}

#[test]
fn vulkan_uses_udmabufs() {
    vulkan_uses(&Udmabuf::open().unwrap(), true);
}

#[test]
fn three_devices_and_one_memory() {
    let _displays = displays();
    let device = device();
    let (card, output) = open_display(0);
    let target = capture_target(&card, Fourcc::XRGB8888);
    let onto = map(&target, &card);
    let mut painter = Painter::new(&device, Fourcc::XRGB8888).unwrap();
    let vgem = DumbBuffers::of_driver("vgem").unwrap();
    let other_card = DumbBuffers::open(&cards("vkms")[1]).unwrap();
    let heap = DmaHeap::open("system").unwrap();
    let buffers = [
        new_buffer(&vgem, EXTENT, Fourcc::XRGB8888, SHOWN),
        new_buffer(&other_card, EXTENT, Fourcc::XRGB8888, SHOWN),
        new_buffer(&heap, EXTENT, Fourcc::XRGB8888, SHOWN),
        new_buffer(&Udmabuf::open().unwrap(), EXTENT, Fourcc::XRGB8888, SHOWN),
    ];
    for (frame, buffer) in (0..).zip(&buffers) {
        let fence = painter.draw(&map(buffer, &device), frame).unwrap();
        show(
            &card,
            &output,
            vec![primary(&map(buffer, &card), &fence)],
            &onto,
        );
        cpu_reads(&target, frame);
    }
}

#[test]
fn one_memory_on_two_displays_at_once() {
    let _displays = displays();
    let device = device();
    let displays = [open_display(0), open_display(1)];
    let buffer = new_buffer(&device, EXTENT, Fourcc::XRGB8888, SHOWN);
    let mut painter = Painter::new(&device, Fourcc::XRGB8888).unwrap();
    let fence = painter.draw(&map(&buffer, &device), 8).unwrap();
    for (card, output) in &displays {
        let target = capture_target(card, Fourcc::XRGB8888);
        show(
            card,
            output,
            vec![primary(&map(&buffer, card), &fence)],
            &map(&target, card),
        );
        cpu_reads(&target, 8);
    }
    let inode = buffer.backing().dmabuf().id().inode();
    let list = dmashare_lab_probe::bufinfo();
    let entry = list.iter().find(|entry| entry.inode == inode).unwrap();
    assert_eq!(entry.attached.len(), 2, "{entry:?}");
}
