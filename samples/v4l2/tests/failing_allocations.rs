//! Each allocation that the kernel makes for a video device fails once: nothing is left behind. The test
//! counts open files, so it is alone here.
#![allow(missing_docs, clippy::unwrap_used)]

use std::cell::Cell;
use std::error::Error;

use dmashare::host::DmaHeap;
use dmashare::{BufferDesc, Extent, Fourcc, Modifier, SharedBuffer, Usage};
use dmashare_lab_probe::{bufinfo, for_each_failing_allocation, open_files};
use dmashare_v4l2::{Encoder, V4l2Capture, V4l2Device};

const EXTENT: Extent = Extent::new(640, 360);

fn desc(format: Fourcc) -> BufferDesc {
    BufferDesc::new("failing video", EXTENT, format, Usage::CPU_READ)
}

type Tried = Result<(), Box<dyn Error>>;

/// An error with its causes.
fn chain(error: &dyn Error) -> String {
    let source = error.source().map(chain).unwrap_or_default();
    format!("{error}: {source}")
}

#[test]
fn nothing_is_left_of_what_failed() {
    let camera = V4l2Device::find("camera", V4l2Device::is_camera)
        .unwrap_or_else(|error| panic!("{error}; run this test with `cargo lab test`"));
    let path = camera.path().to_owned();
    let heap = DmaHeap::open("system").unwrap();
    let frame = SharedBuffer::new(&heap, desc(Fourcc::XRGB8888), &[Modifier::LINEAR]).unwrap();
    let before = Cell::new((open_files().len(), bufinfo().len()));
    let same = |nth: u32, what: &str, result: Tried| {
        let found = (open_files().len(), bufinfo().len());
        let failed = result.is_err();
        if let Err(error) = result {
            // A descriptor whose number the kernel could not write into this process's memory (which
            // cannot happen: the memory is there) is lost.
            let error = chain(&*error);
            let untold = error.contains("VIDIOC_EXPBUF failed") && error.contains("Bad address");
            let (files, dmabufs) = before.get();
            if untold && found == (files + 1, dmabufs + 1) {
                before.set(found);
            }
        }
        assert_eq!(found, before.get(), "{what}, allocation {nth}");
        failed
    };

    let mut failed = 0;
    let failures = for_each_failing_allocation(
        || {
            let camera = V4l2Capture::open(Some(&path), Fourcc::NV12, EXTENT)?;
            let buffer = SharedBuffer::new(&camera, desc(Fourcc::NV12), &[Modifier::LINEAR])?;
            let mapping = buffer.attach(&camera)?.map()?;
            camera.queue(&mapping, std::time::Duration::ZERO)?;
            camera.start()?;
            camera.stop()?;
            Tried::Ok(())
        },
        |nth, result| {
            failed += u32::from(same(nth, "camera", result));
        },
    );
    assert!(failures > 5 && failed > 5, "{failed} of {failures}");

    let mut failed = 0;
    let failures = for_each_failing_allocation(
        || {
            let encoder = Encoder::open(None, Fourcc::XRGB8888, EXTENT)?;
            // Not queued: the kernel warns when a dma-buf cannot be mapped for the encoder (`dma_buf_vmap`
            // takes every failure of the heap for a bug), and a warning fails the run.
            frame.attach(encoder.input())?.map()?;
            Tried::Ok(())
        },
        |nth, result| {
            failed += u32::from(same(nth, "encoder", result));
        },
    );
    assert!(failures > 5 && failed > 5, "{failed} of {failures}");
}
