//! What reads video from dma-bufs sees everyone's pixels: vivid's output, through a cable to its input, and
//! vicodec's encoder.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use dmashare::{
    Access, BufferDesc, CpuMapping, DmaBuf, Extent, FenceStatus, Fourcc, Modifier, PlaneLayout,
    SharedBuffer, Usage,
};
use dmashare_drm::Card;
use dmashare_samples::painter::Painter;
use dmashare_samples::picture::Picture;
use dmashare_samples::pixel_format::PixelFormat;
use dmashare_samples::v4l2::{Coded, Encoder, V4l2Capture, V4l2Output};
use support::loopback::{HDMI, Loopback};
use support::{cards, displays, heap_buffer, shown_desc};

const TIMEOUT: Duration = Duration::from_secs(10);
const SMALL: Extent = Extent::new(640, 360);

/// Bytes at the beginning of a coded frame's memory.
fn coded_bytes(coded: &Coded) -> Vec<u8> {
    let plane = PlaneLayout {
        memory: 0,
        offset: 0,
        stride: coded.bytes(),
    };
    let extent = Extent::new(coded.bytes(), 1);
    let memory = coded.memory().clone();
    let dmabuf = DmaBuf::from_memories(Fourcc::R8, extent, Modifier::LINEAR, &[plane], [memory]);
    let mut mapping = CpuMapping::new(&dmabuf.unwrap(), Access::Read).unwrap();
    let access = mapping.begin(Access::Read).unwrap();
    let mut bytes = vec![0; coded.bytes() as usize];
    access.read_row(0, 0, &mut bytes).unwrap();
    bytes
}

/// The codec loses a little, but always the same: what it makes of the picture that Vulkan has drawn is,
/// byte by byte, what it makes of the picture that the CPU has written.
#[test]
fn an_encoder_reads_the_same_from_vulkan_and_from_a_heap() {
    let format = Fourcc::ARGB8888;
    let device = support::device();
    let desc = BufferDesc::new("drawn", SMALL, format, Usage::RENDER);
    let drawn = SharedBuffer::new(&device, desc, &[Modifier::LINEAR]).unwrap();
    let image = drawn.attach(&device).unwrap().map().unwrap();
    let mut painter = Painter::new(&device, format).unwrap();
    let written = heap_buffer(SMALL, format);
    let mut cpu = CpuMapping::new(written.backing().dmabuf(), Access::Write).unwrap();
    let pixels = PixelFormat::of(format).unwrap();

    let mut streams = Vec::new();
    for frame in [3, 4] {
        painter.draw(&image, frame).unwrap();
        let picture = Picture::new(SMALL, frame);
        let mut access = cpu.begin(Access::Write).unwrap();
        for y in 0..SMALL.height {
            let row = (0..SMALL.width).flat_map(|x| {
                let pixel = pixels.encode(picture.pixel(x, y)).to_le_bytes();
                pixel.into_iter().take(4)
            });
            access.write_row(0, y, &row.collect::<Vec<u8>>()).unwrap();
        }
        drop(access);
        for buffer in [&drawn, &written] {
            // A codec of its own for each, because one remembers the frame before.
            let encoder = Encoder::open(None, format, SMALL).unwrap();
            let input = buffer.attach(encoder.input()).unwrap().map().unwrap();
            let coded = encoder.encode(&input, TIMEOUT).unwrap();
            streams.push(coded_bytes(&coded));
            encoder.recycle(coded).unwrap();
        }
    }
    assert!(streams[0] == streams[1], "frame 3 is another picture");
    assert!(streams[2] == streams[3], "frame 4 is another picture");
    assert!(streams[0] != streams[2], "both frames are the same");
}

fn rows(mapping: &mut CpuMapping, format: Fourcc) -> Vec<u8> {
    let access = mapping.begin(Access::Read).unwrap();
    let mut bytes = Vec::new();
    for (plane, info) in format.info().unwrap().planes.iter().enumerate() {
        for row in 0..info.rows(HDMI.height) {
            let mut row_bytes = vec![0; access.row_bytes(plane).unwrap()];
            access.read_row(plane, row, &mut row_bytes).unwrap();
            bytes.extend(row_bytes);
        }
    }
    bytes
}

fn fill(mapping: &mut CpuMapping, format: Fourcc, seed: u32) {
    let mut access = mapping.begin(Access::Write).unwrap();
    let mut number = seed;
    for (plane, info) in format.info().unwrap().planes.iter().enumerate() {
        for row in 0..info.rows(HDMI.height) {
            let noise = (0..access.row_bytes(plane).unwrap()).map(|_| {
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                number.to_be_bytes()[0]
            });
            let noise: Vec<u8> = noise.collect();
            access.write_row(plane, row, &noise).unwrap();
        }
    }
}

/// Sends a buffer's noise through the cable and demands the same bytes at the other end.
#[track_caller]
fn comes_through(buffer: &SharedBuffer, format: Fourcc, seed: u32) {
    let mut source = CpuMapping::new(buffer.backing().dmabuf(), Access::Write).unwrap();
    fill(&mut source, format, seed);
    let output = V4l2Output::open(None, format, HDMI).unwrap();
    let sent = buffer.attach(&output).unwrap().map().unwrap();
    let camera = V4l2Capture::open(None, format, HDMI).unwrap();
    let frames: Vec<_> = (0..3)
        .map(|_| {
            let desc = shown_desc("looped", HDMI, format);
            let frame = SharedBuffer::new(&camera, desc, &[Modifier::LINEAR]).unwrap();
            let filled = frame.attach(&camera).unwrap().map().unwrap();
            let cpu = CpuMapping::new(frame.backing().dmabuf(), Access::Read).unwrap();
            (filled, cpu)
        })
        .collect();
    output.queue(&sent, TIMEOUT).unwrap();
    assert_eq!(buffer.ready(Access::Write).status(), FenceStatus::Pending);
    assert_eq!(buffer.ready(Access::Read).status(), FenceStatus::Signalled);
    output.start().unwrap();
    for (filled, _) in &frames {
        camera.queue(filled, TIMEOUT).unwrap();
    }
    camera.start().unwrap();
    let expected = rows(&mut source, format);
    let mut frames = frames;
    let mut arrived = 0;
    for _ in 0..frames.len() {
        let frame = camera.wait_frame(TIMEOUT).unwrap().unwrap();
        let (_, cpu) = &mut frames[frame.index as usize];
        arrived += u32::from(rows(cpu, format) == expected);
    }
    // The output may not have begun when the first frame was captured.
    assert!(
        arrived >= 2,
        "{arrived} of 3 frames of {format} came through"
    );
    camera.stop().unwrap();
    output.stop().unwrap();
    assert_eq!(buffer.ready(Access::Write).status(), FenceStatus::Signalled);
}

#[test]
fn a_video_output_sends_everyones_pixels() {
    let _displays = displays();
    let _cable = Loopback::new();
    comes_through(&heap_buffer(HDMI, Fourcc::XRGB8888), Fourcc::XRGB8888, 1);
    comes_through(&heap_buffer(HDMI, Fourcc::NV12), Fourcc::NV12, 2);

    let device = support::device();
    let of_vulkan = BufferDesc::new("of Vulkan", HDMI, Fourcc::XRGB8888, Usage::RENDER);
    let of_vulkan = SharedBuffer::new(&device, of_vulkan, &[Modifier::LINEAR]).unwrap();
    comes_through(&of_vulkan, Fourcc::XRGB8888, 3);

    let card = Card::open(&cards("vkms")[0]).unwrap();
    let desc = shown_desc("of a display", HDMI, Fourcc::XRGB8888);
    let dumb = SharedBuffer::new(&card.dumb_buffers(), desc, &[Modifier::LINEAR]).unwrap();
    comes_through(&dumb, Fourcc::XRGB8888, 4);
}
