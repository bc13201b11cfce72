//! Video devices as exporters and importers, with the kernel's own (vivid, vicodec): what each takes and
//! refuses.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dmashare::host::DmaHeap;
use dmashare::{
    AttachError, BufferDesc, ExportError, Exporter, Extent, Fourcc, ImportError, Modifier,
    SharedBuffer, Usage,
};
use dmashare_v4l2::{Encoder, V4l2Capture, V4l2Error};

const TIMEOUT: Duration = Duration::from_secs(10);
const SMALL: Extent = Extent::new(640, 360);
const LARGE: Extent = Extent::new(1280, 720);

/// The camera is there for one test at a time.
fn camera_alone() -> MutexGuard<'static, ()> {
    static CAMERA: Mutex<()> = Mutex::new(());
    CAMERA.lock().unwrap_or_else(PoisonError::into_inner)
}

fn desc(extent: Extent, format: Fourcc) -> BufferDesc {
    BufferDesc::new("video test", extent, format, Usage::CPU_READ)
}

fn heap_buffer(extent: Extent, format: Fourcc) -> SharedBuffer {
    let heap = DmaHeap::open("system")
        .unwrap_or_else(|error| panic!("{error}; run this test with `cargo lab test`"));
    SharedBuffer::new(&heap, desc(extent, format), &[Modifier::LINEAR]).unwrap()
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
    let frame = desc(SMALL, Fourcc::NV12);
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
        refused(desc(SMALL, Fourcc::XRGB8888), &linear),
        ExportError::UnsupportedFormat { .. }
    ));
    assert!(matches!(
        refused(desc(LARGE, Fourcc::NV12), &linear),
        ExportError::TooLarge { maximum: SMALL, .. }
    ));
    assert!(matches!(
        refused(desc(SMALL, Fourcc::NV12), &[]),
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
    let make = || SharedBuffer::new(&camera, desc(SMALL, Fourcc::NV12), &[Modifier::LINEAR]);
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
