//! Many threads use one device at the same time.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::thread;
use std::time::Duration;

use dmashare::{Access, FenceError, Mapping, SubmitError};
use dmashare_lab_probe::{bufinfo, open_files};
use dmashare_vk::{Device, DeviceSelector, TransferError};
use support::{alone, assert_same_bytes, buffer, map, pattern};

const LONG: Duration = Duration::from_secs(30);

#[test]
fn threads_export_import_copy_and_drop_at_the_same_time() {
    let _alone = alone();
    let instance = support::instance();
    let physical = instance.select(&DeviceSelector::Any).unwrap();
    drop(Device::open(&physical).unwrap());
    let before = (open_files(), bufinfo());
    let (a, b) = (
        Device::open(&physical).unwrap(),
        Device::open(&physical).unwrap(),
    );
    thread::scope(|scope| {
        for thread in 0..4_u32 {
            let (a, b) = if thread % 2 == 0 { (&a, &b) } else { (&b, &a) };
            scope.spawn(move || {
                for round in 0..25 {
                    let shared = buffer(a, "threads");
                    let (in_a, in_b) = (map(&shared, a), map(&shared, b));
                    let pixels = pattern(64 * 32 * 4, thread * 1000 + round);
                    a.transfer().upload(&in_a, &pixels).unwrap();
                    drop(in_a);
                    let read = b.transfer().download(&in_b).unwrap();
                    assert_same_bytes(&read, &pixels, "in a thread");
                    drop((in_b, shared));
                    a.dispatch();
                }
            });
        }
    });
    assert_eq!(
        a.bytes_copied() + b.bytes_copied(),
        2 * 4 * 25 * 64 * 32 * 4
    );
    drop((a, b));
    assert_eq!((open_files(), bufinfo()), before);
}

/// Writers and readers of two devices on one buffer: whoever reads sees one writer's picture, whole.
#[test]
fn pictures_are_never_torn() {
    let _alone = alone();
    let (a, b) = (support::device(), support::device());
    let shared = buffer(&a, "torn");
    let (in_a, in_b) = (map(&shared, &a), map(&shared, &b));
    let picture = |value: u8| vec![value; 64 * 32 * 4];
    a.transfer().upload(&in_a, &picture(0)).unwrap();
    // New fences of the other side may turn up as fast as they are resolved.
    fn again(result: Result<(), TransferError>) -> bool {
        match result {
            Ok(()) => true,
            Err(TransferError::Submit(SubmitError::NotReady { .. })) => false,
            Err(error) => panic!("{error}"),
        }
    }
    thread::scope(|scope| {
        for (device, mapping, first) in [(&a, &in_a, 0), (&b, &in_b, 100)] {
            scope.spawn(move || {
                for value in first..first + 60 {
                    while !again(device.transfer().upload(mapping, &picture(value))) {}
                }
            });
            scope.spawn(move || {
                for _ in 0..60 {
                    let read = |mapping: &Mapping<Device>| device.transfer().download(mapping);
                    let mut pixels = None;
                    while !again(read(mapping).map(|read| pixels = Some(read))) {}
                    let pixels = pixels.unwrap();
                    assert!(pixels.iter().all(|byte| *byte == pixels[0]), "torn");
                }
            });
        }
    });
    shared.wait_ready(Access::Write, LONG).unwrap();
}

#[test]
fn fences_are_waited_for_and_exported_by_many_threads() {
    let _alone = alone();
    let device = support::device();
    let shared = buffer(&device, "fences");
    let mapping = map(&shared, &device);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let submission = device.submission([mapping.write()]).unwrap();
                    // SAFETY: there are no command buffers.
                    let fence = unsafe { submission.submit(&[]) }.unwrap();
                    match fence.export_sync_file() {
                        Ok(file) => file.wait(LONG).unwrap(),
                        Err(FenceError::NoSyncFile { .. }) => assert!(fence.status().is_over()),
                        Err(error) => panic!("{error}"),
                    }
                    fence.wait(LONG).unwrap();
                }
            });
        }
    });
}
