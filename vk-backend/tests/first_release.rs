//! A new image leaves `UNDEFINED` once, when it is used first, by whomever. The validation layers know
//! each image's layout and refuse an acquire of one that was not released.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Barrier;
use std::thread;

use dmashare::{
    Access, AttachError, CpuAccess, ExportError, Extent, Fence, FenceStatus, Fourcc, Modifier,
    SharedBuffer, SyncFile, Usage,
};
use dmashare_lab_probe::{SwSyncTimeline, bufinfo, open_files};
use dmashare_vk::Device;
use support::{COPY, LONG, alone, assert_same_bytes, device, fresh_buffer, map, pattern, small};

const BYTES: usize = 64 * 32 * 4;

/// The number of the queue's next submission: each takes one.
fn point(device: &Device) -> u64 {
    let submission = device.submission([]).unwrap();
    // SAFETY: there are no command buffers.
    match unsafe { submission.submit(&[]) }.unwrap() {
        Fence::Point { point, .. } => point,
        other => panic!("a submission's fence is a point, and not {other:?}"),
    }
}

/// Whoever holds the queue cannot submit: so what succeeds has not.
#[test]
fn an_export_submits_nothing_and_the_first_use_does() {
    let _alone = alone();
    let device = device();
    let queue = device.queue().unwrap();
    let (unused, shared) = (
        fresh_buffer(&device, "unused"),
        fresh_buffer(&device, "used"),
    );
    drop(unused);
    let before = (open_files(), bufinfo());
    let error = shared.attach(&device).unwrap_err();
    assert!(matches!(error, AttachError::Prepare { .. }), "{error}");
    let error = shared.export("a client").unwrap_err();
    assert!(matches!(error, AttachError::Prepare { .. }), "{error}");
    assert!(shared.attachments().is_empty());
    assert_eq!((open_files(), bufinfo()), before);
    drop(queue);
    let mapping = map(&shared, &device);
    let pixels = pattern(BYTES, 1);
    device.transfer().upload(&mapping, &pixels).unwrap();
    assert_same_bytes(
        &device.transfer().download(&mapping).unwrap(),
        &pixels,
        "used",
    );
}

/// Nobody is told when the CPU comes: what it writes first must be there for the device.
#[test]
fn an_image_for_the_cpu_is_released_when_it_is_exported() {
    let _alone = alone();
    let device = device();
    let mut desc = small("for the CPU");
    desc.usage |= Usage::CPU_WRITE;
    let queue = device.queue().unwrap();
    let error = SharedBuffer::new(&device, desc.clone(), &[Modifier::LINEAR]).unwrap_err();
    assert!(matches!(error, ExportError::Device { .. }), "{error}");
    drop(queue);
    let shared = SharedBuffer::new(&device, desc, &[Modifier::LINEAR]).unwrap();
    let row = pattern(64 * 4, 2);
    let mut access = CpuAccess::begin(shared.backing().dmabuf(), Access::Write).unwrap();
    access.write_row(0, 0, &row).unwrap();
    drop(access);
    let queue = device.queue().unwrap();
    let mapping = map(&shared, &device);
    drop(queue);
    let read = device.transfer().download(&mapping).unwrap();
    assert_same_bytes(&read[..64 * 4], &row, "the row that the CPU wrote");
}

#[test]
fn what_an_importer_wrote_first_is_there_for_the_exporter() {
    let _alone = alone();
    let (exporter, importer) = (device(), device());
    let shared = fresh_buffer(&exporter, "importer first");
    let there = map(&shared, &importer);
    let pixels = pattern(BYTES, 3);
    importer.transfer().upload(&there, &pixels).unwrap();
    let before = point(&exporter);
    let here = map(&shared, &exporter);
    assert_eq!(point(&exporter), before + 1, "it is released once");
    let read = exporter.transfer().download(&here).unwrap();
    assert_same_bytes(&read, &pixels, "importer first");
}

/// The release waits for its turn on the queue, and nobody waits for that but by the fence.
#[test]
fn the_first_use_does_not_wait_for_a_busy_queue() {
    let _alone = alone();
    let (exporter, importer) = (device(), device());
    let busy = fresh_buffer(&exporter, "busy");
    let mapping = map(&busy, &exporter);
    let sw_sync = SwSyncTimeline::new();
    let file = SyncFile::new(sw_sync.fence(1)).unwrap();
    busy.add_fence(Access::Write, file.into()).unwrap();
    let submission = exporter.submission([mapping.write()]).unwrap();
    // SAFETY: there are no command buffers.
    let work = unsafe { submission.submit(&[]) }.unwrap();
    let shared = fresh_buffer(&exporter, "behind it");
    let there = map(&shared, &importer);
    assert_eq!(work.status(), FenceStatus::Pending);
    let guard = shared.export_explicit("a client").unwrap();
    sw_sync.increment(1);
    shared.wait_ready(Access::Write, LONG).unwrap();
    let pixels = pattern(BYTES, 4);
    importer.transfer().upload(&there, &pixels).unwrap();
    let read = exporter.transfer().download(&map(&shared, &exporter));
    assert_same_bytes(&read.unwrap(), &pixels, "behind it");
    drop(guard);
    work.wait(LONG).unwrap();
}

#[test]
fn users_that_come_at_the_same_time_release_it_once() {
    let _alone = alone();
    let exporter = device();
    let importers = [device(), device(), exporter.clone()];
    for round in 0..20 {
        let shared = fresh_buffer(&exporter, "at the same time");
        let before = point(&exporter);
        let start = Barrier::new(importers.len());
        let mappings = thread::scope(|scope| {
            let threads = importers.each_ref().map(|importer| {
                scope.spawn(|| {
                    start.wait();
                    map(&shared, importer)
                })
            });
            threads.map(|thread| thread.join().unwrap())
        });
        assert_eq!(point(&exporter), before + 2, "round {round}");
        let pixels = pattern(BYTES, round);
        importers[0]
            .transfer()
            .upload(&mappings[0], &pixels)
            .unwrap();
        let read = exporter.transfer().download(&mappings[2]).unwrap();
        assert_same_bytes(&read, &pixels, "at the same time");
    }
}

/// The release keeps the image, and goes with it.
#[test]
fn an_image_that_was_dropped_at_once_leaves_nothing() {
    let _alone = alone();
    let device = device();
    let mut desc = support::desc("short", Fourcc::XRGB8888, Extent::new(64, 32));
    desc.usage = COPY | Usage::SAMPLE | Usage::RENDER;
    let before = (open_files(), bufinfo());
    for _ in 0..5 {
        let shared = SharedBuffer::new(&device, desc.clone(), &[Modifier::LINEAR]).unwrap();
        drop(map(&shared, &device));
    }
    let fence = {
        let submission = device.submission([]).unwrap();
        // SAFETY: there are no command buffers.
        unsafe { submission.submit(&[]) }.unwrap()
    };
    fence.wait(LONG).unwrap();
    device.dispatch();
    assert_eq!(device.retired(), 0);
    assert_eq!((open_files(), bufinfo()), before);
}
