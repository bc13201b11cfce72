//! Video devices as exporters and importers, with the kernel's own (vivid, vicodec): what each takes,
//! when a buffer is free again, and that a video output sees everyone's pixels.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dmashare::host::{DmaHeap, HostMemory};
use dmashare::{
    Access, AttachError, BufferDesc, CpuMapping, DmaBuf, ExportError, Exporter, Extent,
    FenceStatus, Fourcc, ImportError, Modifier, Negotiation, PlaneLayout, SharedBuffer, Usage,
};
use dmashare_drm::{Card, PlaneKind};
use dmashare_samples::painter::Painter;
use dmashare_samples::picture::Picture;
use dmashare_samples::pixel_format::PixelFormat;
use dmashare_samples::v4l2::{Coded, Encoder, V4l2Capture, V4l2Device, V4l2Error, V4l2Output};
use support::{cards, displays};

const TIMEOUT: Duration = Duration::from_secs(10);
const SMALL: Extent = Extent::new(640, 360);
/// What the HDMI input and output of vivid have at first.
const HDMI: Extent = Extent::new(1280, 720);

/// The camera is there for one test at a time.
fn camera_alone() -> MutexGuard<'static, ()> {
    static CAMERA: Mutex<()> = Mutex::new(());
    CAMERA.lock().unwrap_or_else(PoisonError::into_inner)
}

fn path(fits: fn(&V4l2Device) -> bool) -> PathBuf {
    let device = V4l2Device::find("device of the lab", fits)
        .unwrap_or_else(|error| panic!("{error}; run this test with `cargo lab test`"));
    device.path().to_owned()
}

fn desc(name: &str, extent: Extent, format: Fourcc) -> BufferDesc {
    BufferDesc::new(name, extent, format, Usage::SCANOUT | Usage::CPU_READ)
}

fn heap_buffer(extent: Extent, format: Fourcc) -> SharedBuffer {
    let heap = DmaHeap::open("system").unwrap();
    SharedBuffer::new(
        &heap,
        desc("of a heap", extent, format),
        &[Modifier::LINEAR],
    )
    .unwrap()
}

fn refusal(error: AttachError) -> ImportError {
    match error {
        AttachError::Import { source, .. } => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_camera_exports_its_own_format_only() {
    let _guard = camera_alone();
    let camera = V4l2Capture::open(None, Fourcc::NV12, SMALL).unwrap();
    let frame = desc("frame", SMALL, Fourcc::NV12);
    assert_eq!(camera.modifiers(&frame).unwrap(), [Modifier::LINEAR]);
    let buffer = SharedBuffer::new(&camera, frame, &[Modifier::LINEAR]).unwrap();
    let planes = camera.format().planes();
    assert_eq!(buffer.backing().dmabuf().layout().planes(), planes);
    let refused = |desc: BufferDesc, modifiers: &[Modifier]| {
        SharedBuffer::new(&camera, desc, modifiers)
            .map(drop)
            .unwrap_err()
    };
    let linear = [Modifier::LINEAR];
    assert!(matches!(
        refused(desc("frame", SMALL, Fourcc::XRGB8888), &linear),
        ExportError::UnsupportedFormat { .. }
    ));
    assert!(matches!(
        refused(desc("frame", HDMI, Fourcc::NV12), &linear),
        ExportError::TooLarge { maximum: SMALL, .. }
    ));
    assert!(matches!(
        refused(desc("frame", SMALL, Fourcc::NV12), &[]),
        ExportError::UnsupportedModifier { .. }
    ));
    let foreign = heap_buffer(SMALL, Fourcc::NV12)
        .attach(&camera)
        .unwrap_err();
    assert!(matches!(refusal(foreign), ImportError::Unreachable { .. }));
    let other = V4l2Capture::open(Some(camera.device().path()), Fourcc::NV12, SMALL);
    assert!(
        matches!(other, Err(V4l2Error::Ioctl { .. })),
        "another open file has the camera's buffers: {other:?}"
    );
}

#[test]
fn a_buffer_goes_back_to_the_camera_when_the_display_has_let_go_of_it() {
    let _displays = displays();
    let _guard = camera_alone();
    let camera = V4l2Capture::open(None, Fourcc::XRGB8888, SMALL).unwrap();
    let card = Card::open(&cards("vkms")[0]).unwrap();
    let outputs = card.outputs().unwrap();
    let output = outputs.iter().find(|output| output.is_connected()).unwrap();
    let overlays = output.planes().iter();
    assert_eq!(
        overlays
            .filter(|plane| plane.kind() == PlaneKind::Overlay)
            .count(),
        2
    );

    let frames: Vec<_> = (0..2)
        .map(|_| {
            let desc = desc("camera frame", SMALL, Fourcc::XRGB8888);
            let buffer = SharedBuffer::new(&camera, desc, &[Modifier::LINEAR]).unwrap();
            let filled = buffer.attach(&camera).unwrap().map().unwrap();
            let shown = buffer.attach(&card).unwrap().map().unwrap();
            (buffer, filled, shown)
        })
        .collect();
    for (_, filled, _) in &frames {
        camera.queue(filled, Duration::ZERO).unwrap();
    }
    let (first, filled, shown) = &frames[0];
    assert_eq!(first.ready(Access::Read).status(), FenceStatus::Pending);
    let twice = camera.queue(filled, Duration::ZERO);
    assert!(
        matches!(twice, Err(V4l2Error::NotReady { .. })),
        "{twice:?}"
    );
    camera.start().unwrap();
    for expected in 0..2 {
        let frame = camera.wait_frame(TIMEOUT).unwrap().unwrap();
        assert_eq!(frame.index, expected);
        assert!(!frame.damaged);
    }
    assert_eq!(first.ready(Access::Read).status(), FenceStatus::Signalled);
    assert_eq!(camera.queued(), 0);

    let until_flip = || {
        let begun = Instant::now();
        while card.wait_events(TIMEOUT).unwrap().is_empty() {
            assert!(begun.elapsed() < TIMEOUT, "no flip");
        }
    };
    card.present(output, shown, None).unwrap();
    until_flip();
    let early = camera.queue(filled, Duration::from_millis(100));
    assert!(
        matches!(early, Err(V4l2Error::NotReady { .. })),
        "{early:?}"
    );
    assert_eq!(camera.queued(), 0);
    card.present(output, &frames[1].2, None).unwrap();
    until_flip();
    camera.queue(filled, Duration::ZERO).unwrap();
    assert_eq!(camera.wait_frame(TIMEOUT).unwrap().unwrap().index, 0);
    camera.stop().unwrap();
}

#[test]
fn a_reader_of_dma_bufs_refuses_what_it_would_read_wrongly() {
    // The codec takes whole blocks of 8x8 samples of chroma.
    let extent = Extent::new(656, 368);
    let odd = Encoder::open(None, Fourcc::NV12, SMALL).unwrap_err();
    assert!(matches!(odd, V4l2Error::Size { .. }), "{odd:?}");
    let encoder = Encoder::open(None, Fourcc::NV12, extent).unwrap();
    let refused = |buffer: SharedBuffer| refusal(buffer.attach(encoder.input()).unwrap_err());
    // Rows of the heap are a multiple of 256 bytes apart, those of the encoder 656.
    let strides = refused(heap_buffer(extent, Fourcc::NV12));
    let ImportError::Device { source, .. } = &strides else {
        panic!("{strides:?}");
    };
    let source = source.to_string();
    assert!(
        source.contains("768 bytes apart") && source.contains("takes 656"),
        "{source}"
    );
    assert!(matches!(
        refused(heap_buffer(extent, Fourcc::XRGB8888)),
        ImportError::UnsupportedFormat { .. }
    ));
    assert!(matches!(
        refused(heap_buffer(HDMI, Fourcc::NV12)),
        ImportError::TooLarge { .. }
    ));
    assert!(matches!(
        refused(heap_buffer(Extent::new(256, 360), Fourcc::NV12)),
        ImportError::TooSmall { .. }
    ));
}

/// Host memory is made as an encoder wants it, and Vulkan and a display take that; Vulkan's own rows lie as
/// the driver likes, which it does not tell before.
#[test]
fn an_encoder_negotiates() {
    let _displays = displays();
    let device = support::device();
    let card = Card::open(&cards("vkms")[0]).unwrap();
    let outputs = card.outputs().unwrap();
    let output = outputs.iter().find(|output| output.is_connected()).unwrap();
    let format = Fourcc::XRGB8888;
    let encoder = Encoder::open(None, format, SMALL).unwrap();
    let wanted = || BufferDesc::new("negotiated", SMALL, format, Usage::ENCODE);
    let memory = HostMemory::open().unwrap();
    let negotiated = Negotiation::new(wanted())
        .party(memory.party())
        .party(device.importer_party(&[format], Usage::RENDER).unwrap())
        .party(card.scanout_party(output))
        .party(encoder.input().party())
        .solve()
        .unwrap();
    let desc = negotiated.desc().clone();
    assert!(
        desc.usage
            .contains(Usage::ENCODE | Usage::SCANOUT | Usage::RENDER)
    );
    let buffer = SharedBuffer::new_dynamic(&memory, desc, &negotiated.constraint()).unwrap();
    buffer.attach(encoder.input()).unwrap().map().unwrap();
    buffer.attach(&card).unwrap().map().unwrap();
    buffer.attach(&device).unwrap().map().unwrap();

    let refused = Negotiation::new(wanted())
        .party(device.exporter_party(&[format], Usage::RENDER).unwrap())
        .party(encoder.input().party())
        .solve()
        .unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains("2560"), "{refused}");

    let extent = Extent::new(656, 368);
    let encoder = Encoder::open(None, Fourcc::NV12, extent).unwrap();
    let wanted = BufferDesc::new("refused", extent, Fourcc::NV12, Usage::ENCODE);
    let refused = Negotiation::new(wanted)
        .party(HostMemory::open().unwrap().party())
        .party(encoder.input().party())
        .solve()
        .unwrap_err();
    let refused = refused.to_string();
    assert!(
        refused.contains("vicodec") && refused.contains("656"),
        "{refused}"
    );
}

#[test]
fn a_camera_and_a_display_negotiate() {
    let _displays = displays();
    let _guard = camera_alone();
    let camera = V4l2Capture::open(None, Fourcc::NV12, SMALL).unwrap();
    let card = Card::open(&cards("vkms")[0]).unwrap();
    let outputs = card.outputs().unwrap();
    let output = outputs.iter().find(|output| output.is_connected()).unwrap();
    let solve = |extent| {
        Negotiation::new(BufferDesc::new(
            "frame",
            extent,
            Fourcc::NV12,
            Usage::SCANOUT,
        ))
        .party(camera.party())
        .party(card.scanout_party(output))
        .solve()
    };
    let negotiated = solve(SMALL).unwrap();
    let modifiers = negotiated.modifier_list();
    let frame = SharedBuffer::new(&camera, negotiated.desc().clone(), &modifiers).unwrap();
    let backing = frame.backing();
    let sizes = [backing.bytes()];
    negotiated
        .check_layout(backing.dmabuf().layout(), &sizes)
        .unwrap();
    frame.attach(&card).unwrap().map().unwrap();
    let refused = solve(HDMI).unwrap_err().to_string();
    assert!(refused.contains("vivid"), "{refused}");
}

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

#[test]
fn slots_are_used_again_when_their_buffers_are_detached() {
    let encoder = Encoder::open(None, Fourcc::XRGB8888, SMALL).unwrap();
    let buffers: Vec<_> = (0..40)
        .map(|_| heap_buffer(SMALL, Fourcc::XRGB8888))
        .collect();
    let mut attached = Vec::new();
    let full = loop {
        match buffers[attached.len()].attach(encoder.input()) {
            Ok(attachment) => attached.push(attachment),
            Err(error) => break refusal(error),
        }
    };
    assert!(attached.len() >= 8, "{}", attached.len());
    assert!(matches!(full, ImportError::Device { .. }), "{full:?}");
    attached.pop();
    attached.push(buffers[39].attach(encoder.input()).unwrap());
}

/// The control "HDMI 000-0 Is Connected To" (`vivid-ctrls.c`), and its value for the only HDMI output.
const HDMI_IS_CONNECTED_TO: u32 = 0x00f0_f000 + 113;
const TEST_PATTERN_GENERATOR: i32 = 0;
const HDMI_OUTPUT: i32 = 2;
/// "OSD Text Mode", and its value "None".
const OSD_TEXT_MODE: u32 = 0x00f0_f000 + 1;

/// Vivid with a cable from its HDMI output to its HDMI input; unplugged when dropped.
struct Loopback {
    input: V4l2Device,
}

impl Loopback {
    fn new() -> Self {
        let input = V4l2Device::open(&path(V4l2Device::is_camera)).unwrap();
        input.set_input(3).unwrap();
        input.set_control(OSD_TEXT_MODE, 2).unwrap();
        input
            .set_control(HDMI_IS_CONNECTED_TO, HDMI_OUTPUT)
            .unwrap();
        let output = V4l2Device::open(&path(V4l2Device::is_output)).unwrap();
        output.set_output(1).unwrap();
        Self { input }
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        let _ = self
            .input
            .set_control(HDMI_IS_CONNECTED_TO, TEST_PATTERN_GENERATOR);
        let _ = self.input.set_control(OSD_TEXT_MODE, 0);
        let _ = self.input.set_input(0);
    }
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
            let desc = desc("looped", HDMI, format);
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
    let _guard = camera_alone();
    let _cable = Loopback::new();
    comes_through(&heap_buffer(HDMI, Fourcc::XRGB8888), Fourcc::XRGB8888, 1);
    comes_through(&heap_buffer(HDMI, Fourcc::NV12), Fourcc::NV12, 2);

    let device = support::device();
    let of_vulkan = BufferDesc::new("of Vulkan", HDMI, Fourcc::XRGB8888, Usage::RENDER);
    let of_vulkan = SharedBuffer::new(&device, of_vulkan, &[Modifier::LINEAR]).unwrap();
    comes_through(&of_vulkan, Fourcc::XRGB8888, 3);

    let card = Card::open(&cards("vkms")[0]).unwrap();
    let desc = desc("of a display", HDMI, Fourcc::XRGB8888);
    let dumb = SharedBuffer::new(&card.dumb_buffers(), desc, &[Modifier::LINEAR]).unwrap();
    comes_through(&dumb, Fourcc::XRGB8888, 4);
}
