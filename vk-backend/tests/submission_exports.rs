//! Submissions whose fences leave as sync_files.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use dmashare::{Access, Fence, FenceError, FenceStatus, Mapping};
use dmashare_vk::Device;
use support::{LONG, buffer, device, map, submit_empty};

/// A thread that holds the queue cannot submit, so an export that succeeds then has not submitted.
#[test]
fn exportable_work_becomes_a_sync_file_without_another_submission() {
    let device = device();
    let shared = buffer(&device, "exportable");
    let mapping = map(&shared, &device);
    for _ in 0..3 {
        let submission = device.submission([mapping.write()]).unwrap();
        assert_eq!(submission.signals().len(), 1);
        let submission = submission.exportable().unwrap().exportable().unwrap();
        assert_eq!(submission.signals().len(), 2);
        // SAFETY: there are no command buffers.
        let fence = unsafe { submission.submit(&[]) }.unwrap();
        let queue = device.queue().unwrap();
        match fence.export_sync_file() {
            Ok(file) => file.wait(LONG).unwrap(),
            Err(FenceError::NoSyncFile { .. }) => {
                assert_eq!(fence.status(), FenceStatus::Signalled);
            }
            Err(error) => panic!("{error}"),
        }
        drop(queue);
        let other = submit_without_export(&device, &mapping);
        fence.wait(LONG).unwrap();
        other.wait(LONG).unwrap();
    }
    // A submission that is given up keeps no semaphore.
    drop(device.submission([mapping.write()]).unwrap().exportable());
    submit_empty(&device, &mapping, Access::Write)
        .wait(LONG)
        .unwrap();
}

/// Work that was not made exportable: its fence has no sync_file while the queue is held.
fn submit_without_export(device: &Device, mapping: &Mapping<Device>) -> Fence {
    let fence = submit_empty(device, mapping, Access::Write);
    let queue = device.queue().unwrap();
    let error = fence.export_sync_file().unwrap_err();
    assert!(matches!(error, FenceError::Device { .. }), "{error}");
    drop(queue);
    fence
}

/// Fences of such a buffer go into the dma-buf, as sync_files.
#[test]
fn work_on_a_buffer_that_others_hold_is_exportable() {
    let device = device();
    let shared = buffer(&device, "held");
    let mapping = map(&shared, &device);
    let guard = shared.export("a client").unwrap();
    let submission = device.submission([mapping.write()]).unwrap();
    assert_eq!(submission.signals().len(), 2);
    drop(submission);
    drop(guard);
    let submission = device.submission([mapping.write()]).unwrap();
    assert_eq!(submission.signals().len(), 1);
}

#[test]
fn a_fence_becomes_a_sync_file() {
    let device = device();
    let shared = buffer(&device, "export");
    let mapping = map(&shared, &device);
    for _ in 0..3 {
        let fence = submit_empty(&device, &mapping, Access::Write);
        match fence.export_sync_file() {
            Ok(file) => file.wait(LONG).unwrap(),
            Err(FenceError::NoSyncFile { .. }) => {
                assert_eq!(fence.status(), FenceStatus::Signalled);
            }
            Err(error) => panic!("{error}"),
        }
        fence.wait(LONG).unwrap();
    }
}
