//! Video devices as exporters and importers, with the kernel's own (vivid, vicodec): what each takes, and
//! when a buffer is free again.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dmashare::host::HostMemory;
use dmashare::{
    Access, AttachError, BufferDesc, ExportError, Exporter, Extent, FenceStatus, Fourcc,
    ImportError, Modifier, Negotiation, SharedBuffer, Usage,
};
use dmashare_drm::{Card, PlaneKind};
use dmashare_samples::v4l2::{Encoder, V4l2Capture, V4l2Error};
use support::{cards, displays, heap_buffer, shown_desc};

const TIMEOUT: Duration = Duration::from_secs(10);
const SMALL: Extent = Extent::new(640, 360);
const LARGE: Extent = Extent::new(1280, 720);

/// The camera is there for one test at a time.
fn camera_alone() -> MutexGuard<'static, ()> {
    static CAMERA: Mutex<()> = Mutex::new(());
    CAMERA.lock().unwrap_or_else(PoisonError::into_inner)
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
    let frame = shown_desc("frame", SMALL, Fourcc::NV12);
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
        refused(shown_desc("frame", SMALL, Fourcc::XRGB8888), &linear),
        ExportError::UnsupportedFormat { .. }
    ));
    assert!(matches!(
        refused(shown_desc("frame", LARGE, Fourcc::NV12), &linear),
        ExportError::TooLarge { maximum: SMALL, .. }
    ));
    assert!(matches!(
        refused(shown_desc("frame", SMALL, Fourcc::NV12), &[]),
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

/// A driver's table of buffers has a few dozen places.
#[test]
fn buffers_that_are_let_go_leave_the_drivers_table() {
    let _guard = camera_alone();
    let camera = V4l2Capture::open(None, Fourcc::NV12, SMALL).unwrap();
    let make = || {
        let desc = shown_desc("let go", SMALL, Fourcc::NV12);
        SharedBuffer::new(&camera, desc, &[Modifier::LINEAR])
    };
    for _ in 0..80 {
        let buffer = make().unwrap();
        let filled = buffer.attach(&camera).unwrap().map().unwrap();
        camera.queue(&filled, Duration::ZERO).unwrap();
        camera.start().unwrap();
        assert!(camera.wait_frame(TIMEOUT).unwrap().is_some());
        camera.stop().unwrap();
    }
    let mut held = Vec::new();
    let refused = loop {
        match make() {
            Ok(buffer) => held.push(buffer),
            Err(error) => break error,
        }
        assert!(held.len() < 1000);
    };
    let ExportError::Device { operation, .. } = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!(*operation, "VIDIOC_CREATE_BUFS");
    held.pop();
    drop(make().unwrap());
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
            let desc = shown_desc("camera frame", SMALL, Fourcc::XRGB8888);
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
    let strides = heap_buffer(extent, Fourcc::NV12).attach(encoder.input());
    let AttachError::Unreachable { reason, .. } = strides.unwrap_err() else {
        panic!("the layout is no reason");
    };
    assert!(
        reason.contains("stride is 768 bytes") && reason.contains("multiple of 656"),
        "{reason}"
    );
    assert!(matches!(
        refused(heap_buffer(extent, Fourcc::XRGB8888)),
        ImportError::UnsupportedFormat { .. }
    ));
    assert!(matches!(
        refused(heap_buffer(LARGE, Fourcc::NV12)),
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
    let refused = solve(LARGE).unwrap_err().to_string();
    assert!(refused.contains("vivid"), "{refused}");
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
