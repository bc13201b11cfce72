//! Vulkan, displays and memory of others together: who draws, who shows and who reads are different
//! devices, the memory is one, and every pixel is compared.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use dmashare::host::{DmaHeap, Udmabuf};
use dmashare::{
    Access, AttachError, BufferDesc, CpuAccess, CpuMapping, Exporter, Extent, Fence, Fourcc,
    ImportError, LayoutError, Mapping, Modifier, SharedBuffer, Usage,
};
use dmashare_drm::{
    Card, Commit, DumbBuffers, Event, Output, OutputCommit, PlaneCommit, PlaneKind, Rectangle,
};
use dmashare_samples::capture::Capture;
use dmashare_samples::painter::Painter;
use dmashare_samples::picture::Picture;
use dmashare_samples::pixel_format::PixelFormat;
use dmashare_vk::Device;
use support::{all_equal, cards, device, displays, dmabufs_named};

const LINEAR: &[Modifier] = &[Modifier::LINEAR];
const MODE: &str = "640x480";
const EXTENT: Extent = Extent::new(640, 480);

fn pixel_format(format: Fourcc) -> &'static PixelFormat {
    PixelFormat::of(format).unwrap()
}

fn new_buffer<E: Exporter + Clone + 'static>(
    exporter: &E,
    extent: Extent,
    format: Fourcc,
    usage: Usage,
) -> SharedBuffer {
    let desc = BufferDesc::new("displays test", extent, format, usage);
    SharedBuffer::new(exporter, desc, LINEAR).unwrap()
}

fn map<I: dmashare::Importer>(buffer: &SharedBuffer, importer: &I) -> Mapping<I> {
    buffer.attach(importer).unwrap().map().unwrap()
}

/// Writes a frame with the CPU.
fn write(buffer: &SharedBuffer, frame: u32) {
    let dmabuf = buffer.backing().dmabuf().clone();
    let format = pixel_format(dmabuf.format());
    let picture = Picture::new(dmabuf.extent(), frame);
    let mut access = CpuAccess::begin(&dmabuf, Access::Write).unwrap();
    for y in 0..dmabuf.extent().height {
        let row: Vec<u8> = (0..dmabuf.extent().width)
            .map(|x| format.encode(picture.pixel(x, y)))
            .flat_map(|pixel| pixel.to_le_bytes().into_iter().take(format.bytes()))
            .collect();
        access.write_row(0, y, &row).unwrap();
    }
}

/// Demands that the CPU reads this frame.
#[track_caller]
fn cpu_reads(buffer: &SharedBuffer, frame: u32) {
    buffer
        .wait_ready(Access::Read, Duration::from_secs(10))
        .unwrap();
    let dmabuf = buffer.backing().dmabuf().clone();
    let capture = Capture::read(&mut CpuMapping::new(&dmabuf, Access::Read).unwrap()).unwrap();
    let picture = Picture::new(dmabuf.extent(), frame);
    all_equal(
        &capture.compare(&picture, pixel_format(dmabuf.format())),
        dmabuf.extent(),
    );
}

/// Demands that Vulkan reads this frame.
#[track_caller]
fn vulkan_reads(device: &Device, image: &Mapping<Device>, frame: u32) {
    let (format, extent) = (image.object().format(), image.object().extent());
    let rows = device.transfer().download(image).unwrap();
    let capture = Capture::from_rows(format, extent, rows).unwrap();
    all_equal(
        &capture.compare(&Picture::new(extent, frame), pixel_format(format)),
        extent,
    );
}

/// A card of the lab with its connected output.
fn open_display(index: usize) -> (Card, Output) {
    let card = Card::open(&cards("vkms")[index]).unwrap();
    let outputs = card.outputs().unwrap();
    let output = outputs.iter().find(|output| output.is_connected()).unwrap();
    (card, output.clone())
}

/// Shows planes, and waits until the display has captured that into `target`.
fn show(card: &Card, output: &Output, planes: Vec<PlaneCommit>, target: &Mapping<Card>) {
    let mut commit = OutputCommit::new(output)
        .mode(output.mode(MODE).unwrap())
        .writeback(target);
    for plane in planes {
        commit = commit.plane(plane);
    }
    let commit = card.commit(Commit::new().output(commit)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let (mut flipped, mut written) = (false, false);
    while !(flipped && written) {
        assert!(
            Instant::now() < deadline,
            "flipped: {flipped}, written: {written}"
        );
        for event in card.wait_events(Duration::from_millis(100)).unwrap() {
            match event {
                Event::Flip { commit: of, .. } => flipped |= of == commit,
                Event::Written { commit: of, .. } => written |= of == commit,
                _ => {}
            }
        }
    }
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
        let buffer = new_buffer(&device, EXTENT, format, Usage::RENDER | Usage::SCANOUT);
        let (image, framebuffer) = (map(&buffer, &device), map(&buffer, &card));
        // As deep as the deepest, so that nothing is lost on the way.
        let deep = Fourcc::XRGB16161616;
        let target = new_buffer(&card.dumb_buffers(), EXTENT, deep, Usage::CPU_READ);
        let mut cpu = CpuMapping::new(target.backing().dmabuf(), Access::Read).unwrap();
        let onto = map(&target, &card);
        let mut painter = Painter::new(&device, format).unwrap();
        for frame in [0, 41] {
            // Nobody uses the buffer: what it showed before has been captured.
            if frame > 0 {
                let other = new_buffer(
                    &card.dumb_buffers(),
                    EXTENT,
                    Fourcc::XRGB8888,
                    Usage::CPU_WRITE,
                );
                show(
                    &card,
                    &output,
                    vec![PlaneCommit::primary(&map(&other, &card))],
                    &onto,
                );
            }
            let fence = painter.draw(&image, frame).unwrap();
            show(&card, &output, vec![primary(&framebuffer, &fence)], &onto);
            let capture = Capture::read(&mut cpu).unwrap();
            let picture = Picture::new(EXTENT, frame);
            all_equal(&capture.compare(&picture, pixel_format(format)), EXTENT);
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
        dmabufs_named("displays test") == 0
    });
}

#[test]
fn an_odd_image_on_an_overlay_plane() {
    let _displays = displays();
    let device = device();
    let (card, output) = open_display(0);
    let small = Extent::new(333, 77);
    let at = (101_u32, 53_u32);
    let usage = Usage::RENDER | Usage::SCANOUT;
    let below = new_buffer(&device, EXTENT, Fourcc::XRGB8888, usage);
    let above = new_buffer(&device, small, Fourcc::XRGB8888, usage);
    let mut painter = Painter::new(&device, Fourcc::XRGB8888).unwrap();
    let behind = painter.draw(&map(&below, &device), 5).unwrap();
    let front = painter.draw(&map(&above, &device), 6).unwrap();
    let target = new_buffer(
        &card.dumb_buffers(),
        EXTENT,
        Fourcc::XRGB8888,
        Usage::CPU_READ,
    );
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
            write(&buffer, 3);
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
            write(&buffer, 3);
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
    let usage = Usage::RENDER | Usage::SCANOUT;
    let target = new_buffer(
        &card.dumb_buffers(),
        EXTENT,
        Fourcc::XRGB8888,
        Usage::CPU_READ,
    );
    let onto = map(&target, &card);
    let mut painter = Painter::new(&device, Fourcc::XRGB8888).unwrap();
    let vgem = DumbBuffers::of_driver("vgem").unwrap();
    let other_card = DumbBuffers::open(&cards("vkms")[1]).unwrap();
    let heap = DmaHeap::open("system").unwrap();
    let buffers = [
        new_buffer(&vgem, EXTENT, Fourcc::XRGB8888, usage),
        new_buffer(&other_card, EXTENT, Fourcc::XRGB8888, usage),
        new_buffer(&heap, EXTENT, Fourcc::XRGB8888, usage),
        new_buffer(&Udmabuf::open().unwrap(), EXTENT, Fourcc::XRGB8888, usage),
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
    let buffer = new_buffer(
        &device,
        EXTENT,
        Fourcc::XRGB8888,
        Usage::RENDER | Usage::SCANOUT,
    );
    let mut painter = Painter::new(&device, Fourcc::XRGB8888).unwrap();
    let fence = painter.draw(&map(&buffer, &device), 8).unwrap();
    for (card, output) in &displays {
        let target = new_buffer(
            &card.dumb_buffers(),
            EXTENT,
            Fourcc::XRGB8888,
            Usage::CPU_READ,
        );
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
