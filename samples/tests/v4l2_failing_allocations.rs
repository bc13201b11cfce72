//! Each allocation that the kernel makes for a video device fails once: nothing is left behind. The test
//! counts open files, so it is alone here.
#![allow(missing_docs, clippy::unwrap_used)]

use dmashare::host::DmaHeap;
use dmashare::{BufferDesc, Extent, Fourcc, Modifier, SharedBuffer, Usage};
use dmashare_lab_probe::{bufinfo, for_each_failing_allocation, open_files};
use dmashare_samples::v4l2::{Encoder, V4l2Capture, V4l2Device};

const EXTENT: Extent = Extent::new(640, 360);

fn desc(format: Fourcc) -> BufferDesc {
    BufferDesc::new("failing video", EXTENT, format, Usage::CPU_READ)
}

#[test]
fn nothing_is_left_of_what_failed() {
    let camera = V4l2Device::find("camera", V4l2Device::is_camera)
        .unwrap_or_else(|error| panic!("{error}; run this test with `cargo lab test`"));
    let path = camera.path().to_owned();
    let heap = DmaHeap::open("system").unwrap();
    let frame = SharedBuffer::new(&heap, desc(Fourcc::XRGB8888), &[Modifier::LINEAR]).unwrap();
    let (files, dmabufs) = (open_files(), bufinfo().len());
    let same = |nth, what| {
        assert_eq!(open_files(), files, "{what}, allocation {nth}");
        assert_eq!(bufinfo().len(), dmabufs, "{what}, allocation {nth}");
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
            anyhow::Ok(())
        },
        |nth, result| {
            failed += u32::from(result.is_err());
            same(nth, "camera");
        },
    );
    assert!(failures > 5 && failed > 5, "{failed} of {failures}");

    let mut failed = 0;
    let failures = for_each_failing_allocation(
        || {
            let encoder = Encoder::open(None, Fourcc::XRGB8888, EXTENT)?;
            let mapping = frame.attach(encoder.input())?.map()?;
            let coded = encoder.encode(&mapping, std::time::Duration::from_secs(10))?;
            encoder.recycle(coded)?;
            anyhow::Ok(())
        },
        |nth, result| {
            failed += u32::from(result.is_err());
            same(nth, "encoder");
        },
    );
    assert!(failures > 5 && failed > 5, "{failed} of {failures}");
}
