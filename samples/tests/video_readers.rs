//! Devices that read video see the pixels of every exporter: vivid's output, through a cable to its input,
//! and vicodec's encoder.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dmashare::host::HostMemory;
use dmashare::{
    Access, AccessConstraint, BufferDesc, DmaBuf, Extent, FenceStatus, Fourcc, Modifier, MoveError,
    Placements, PlaneLayout, SharedBuffer, SubmitError, Usage,
};
use dmashare_drm::DumbBuffers;
use dmashare_samples::painter::Painter;
use dmashare_v4l2::{Coded, Encoder, V4l2Error, V4l2Output};
use support::failing_copies::FailingCopies;
use support::loopback::{HDMI, Loopback, sent};
use support::pixels::{noise, picture, read, write};
use support::{displays, heap_buffer, map, new_buffer, shown_buffer};

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
    read(&dmabuf.unwrap())
}

/// The codec loses a little, but always the same: the picture that Vulkan has drawn and the picture that
/// the CPU has written become the same bytes.
#[test]
fn an_encoder_reads_the_same_from_vulkan_and_from_a_heap() {
    let format = Fourcc::ARGB8888;
    let device = support::device();
    let drawn = new_buffer(&device, SMALL, format, Usage::RENDER);
    let image = map(&drawn, &device);
    let mut painter = Painter::new(&device, format).unwrap();
    let written = heap_buffer(SMALL, format);

    let mut streams = Vec::new();
    for frame in [3, 4] {
        painter.draw(&image, frame).unwrap();
        let picture = picture(format, SMALL, frame);
        write(written.backing().dmabuf(), &picture);
        for buffer in [&drawn, &written] {
            // A codec of its own for each, because one remembers the frame before.
            let encoder = Encoder::open(None, format, SMALL).unwrap();
            let input = map(buffer, encoder.input());
            let coded = encoder.encode(&input, TIMEOUT).unwrap();
            streams.push(coded_bytes(&coded));
            encoder.recycle(coded).unwrap();
        }
    }
    assert!(streams[0] == streams[1], "frame 3 is another picture");
    assert!(streams[2] == streams[3], "frame 4 is another picture");
    assert!(streams[0] != streams[2], "both frames are the same");
}

/// Sends a buffer's noise through the cable and demands the same bytes at the other end.
#[track_caller]
fn comes_through(buffer: &SharedBuffer, format: Fourcc, seed: u32) {
    let bytes = noise(format, HDMI, seed);
    write(buffer.backing().dmabuf(), &bytes);
    let output = V4l2Output::open(None, format, HDMI).unwrap();
    let status = |access| buffer.ready(access).status();
    let frames = sent(&output, &map(buffer, &output), format, || {
        assert_eq!(status(Access::Write), FenceStatus::Pending);
        assert_eq!(status(Access::Read), FenceStatus::Signalled);
    });
    let arrived = frames.iter().filter(|frame| **frame == bytes).count();
    assert!(
        arrived >= 2,
        "{arrived} of 3 frames of {format} came through"
    );
    assert_eq!(status(Access::Write), FenceStatus::Signalled);
}

#[test]
fn a_video_output_sends_everyones_pixels() {
    let _displays = displays();
    let _cable = Loopback::new();
    comes_through(&heap_buffer(HDMI, Fourcc::XRGB8888), Fourcc::XRGB8888, 1);
    comes_through(&heap_buffer(HDMI, Fourcc::NV12), Fourcc::NV12, 2);

    let device = support::device();
    let of_vulkan = new_buffer(&device, HDMI, Fourcc::XRGB8888, Usage::RENDER);
    comes_through(&of_vulkan, Fourcc::XRGB8888, 3);

    let vkms = DumbBuffers::of_driver("vkms").unwrap();
    let dumb = shown_buffer(&vkms, HDMI, Fourcc::XRGB8888);
    comes_through(&dumb, Fourcc::XRGB8888, 4);
}

/// The encoder is told that its mapping is stale, and not that the content is lost.
#[test]
fn an_encoder_that_waits_for_a_move_that_is_undone_is_told_to_map_again() {
    let format = Fourcc::ARGB8888;
    let exporter = FailingCopies {
        memory: HostMemory::open().unwrap(),
        copying: Arc::default(),
    };
    let desc = BufferDesc::new("undone", SMALL, format, Usage::CPU_WRITE);
    let home = AccessConstraint::placements(Placements::HOST);
    let buffer = SharedBuffer::new_dynamic(&exporter, desc, &home).unwrap();
    let encoder = Encoder::open(None, format, SMALL).unwrap();
    let flag = Arc::new(AtomicBool::new(false));
    let attachment = buffer.attach_dynamic(encoder.input(), flag).unwrap();
    let away = AccessConstraint::placements(Placements::SHMEM);
    let (moved, coded) = std::thread::scope(|scope| {
        let mover = scope.spawn(|| buffer.move_to(&away).map(|_| ()));
        while !exporter.copying.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let input = attachment.map().unwrap();
        let coded = encoder.encode(&input, TIMEOUT).map(|_| ());
        (mover.join().unwrap(), coded)
    });
    assert!(matches!(moved, Err(MoveError::Copy { .. })), "{moved:?}");
    let Err(V4l2Error::Submit { source, .. }) = coded else {
        panic!("{coded:?}");
    };
    assert!(matches!(*source, SubmitError::Stale { .. }), "{source:?}");
    drop(encoder.encode(&attachment.map().unwrap(), TIMEOUT).unwrap());
}
