//! What the copy of a move waits for, and who waits for it.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/failing_copies.rs"]
mod failing_copies;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dmashare::host::HostMemory;
use dmashare::{
    Access, FenceStatus, MoveError, Placement, SharedBuffer, SoftwareTimeline, SubmitError,
};
use dmashare_lab_probe::SwSyncTimeline;
use failing_copies::FailingCopies;
use support::{
    LONG, alone, assert_content, at, busy_until, device, map_dynamic, movable, movable_buffer,
    move_to, pattern, small, submit_empty, upload,
};

/// A copy waits for the work of both devices, and both devices' next work waits for the copy.
#[test]
fn i7_a_move_is_ordered_after_work_in_flight_on_two_devices() {
    let _alone = alone();
    let (device, other) = (device(), device());
    let images = movable(&device);
    let shared = movable_buffer(&images, small("two devices"));
    let pixels = pattern(64 * 32 * 4, 5);
    upload(&shared, &device, &pixels);
    let (own_sync, other_sync) = (SwSyncTimeline::new(), SwSyncTimeline::new());
    let in_other = map_dynamic(&shared, &other);
    let theirs = busy_until(&other, &in_other, &other_sync, 1);
    // A reader: it does not wait for the other device by itself.
    let file = dmashare::SyncFile::new(own_sync.fence(1)).unwrap();
    shared.add_fence(Access::Read, file.into()).unwrap();
    drop(in_other);
    let (moved, waited) = std::thread::scope(|scope| {
        // Making a semaphore of the other device's fence may block in its driver until it is done.
        let mover = scope.spawn(|| {
            let start = Instant::now();
            let moved = shared.move_to(&at(Placement::Host)).unwrap();
            (moved, start.elapsed())
        });
        std::thread::sleep(Duration::from_millis(150));
        assert_eq!(theirs.status(), FenceStatus::Pending);
        // Nobody is kept from looking meanwhile.
        let start = Instant::now();
        assert_eq!(shared.backing().placement(), Placement::Host);
        assert_eq!(shared.ready(Access::Read).status(), FenceStatus::Pending);
        assert!(start.elapsed() < Duration::from_millis(100));
        other_sync.increment(1);
        mover.join().unwrap()
    });
    assert!(waited < LONG);
    theirs.wait(LONG).unwrap();
    // The reader is not over.
    assert!(!moved.is_over());
    assert_eq!(moved.fence().unwrap().status(), FenceStatus::Pending);
    own_sync.increment(1);
    moved.wait(LONG).unwrap();
    assert_content(&shared, &[&device, &other], &pixels, "after both");
}

#[test]
fn i7_a_move_waits_for_a_sync_file_on_the_device_and_not_on_the_cpu() {
    let _alone = alone();
    let device = device();
    let images = movable(&device);
    let shared = movable_buffer(&images, small("sync_file"));
    let pixels = pattern(64 * 32 * 4, 6);
    upload(&shared, &device, &pixels);
    let sw_sync = SwSyncTimeline::new();
    let mapping = map_dynamic(&shared, &device);
    busy_until(&device, &mapping, &sw_sync, 1);
    let start = Instant::now();
    let moved = shared.move_to(&at(Placement::Host)).unwrap();
    assert!(start.elapsed() < Duration::from_secs(2));
    assert!(!moved.is_over());
    // Every later use waits, also that of the move back, which makes its memory without waiting.
    let mapping = map_dynamic(&shared, &device);
    let after = submit_empty(&device, &mapping, Access::Read);
    drop(mapping);
    let back = shared.move_to(&at(Placement::Device)).unwrap();
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(after.status(), FenceStatus::Pending);
    assert!(!back.is_over());
    sw_sync.increment(1);
    back.wait(LONG).unwrap();
    assert!(moved.is_over() && after.status().is_over());
    assert_eq!(shared.backing().placement(), Placement::Device);
    assert_content(&shared, &[&device], &pixels, "there and back");
}

#[test]
fn a_copy_that_waits_for_software_is_submitted_by_dispatch() {
    let _alone = alone();
    let device = device();
    let images = movable(&device);
    let shared = movable_buffer(&images, small("software"));
    let pixels = pattern(64 * 32 * 4, 7);
    upload(&shared, &device, &pixels);
    let software = SoftwareTimeline::new("a program");
    shared.add_fence(Access::Read, software.fence(1)).unwrap();
    let bytes = images.bytes_moved();
    let attachment = shared
        .attach_dynamic(&device, Arc::new(AtomicBool::new(false)))
        .unwrap();
    let moved = shared.move_to(&at(Placement::Host)).unwrap();
    assert!(!moved.is_over());
    shared.dispatch();
    assert_eq!(images.bytes_moved(), bytes, "nothing was submitted");
    // Whoever wants to use it is told what to wait for.
    let mapping = attachment.map().unwrap();
    let refused = device.submission([mapping.read()]).map(drop);
    match refused {
        Err(SubmitError::NotReady { producer, .. }) => {
            assert_eq!(producer, "move of software");
        }
        other => panic!("{other:?}"),
    }
    software.signal(1);
    shared.dispatch();
    assert!(images.bytes_moved() > bytes, "submitted");
    moved.wait(LONG).unwrap();
    assert_content(&shared, &[&device], &pixels, "after the program");
}

#[test]
fn a_failed_fence_holds_up_no_move() {
    let _alone = alone();
    let device = device();
    let images = movable(&device);
    let shared = movable_buffer(&images, small("failed"));
    let pixels = pattern(64 * 32 * 4, 8);
    upload(&shared, &device, &pixels);
    let software = SoftwareTimeline::new("a program that dies");
    shared.add_fence(Access::Read, software.fence(1)).unwrap();
    let sw_sync = SwSyncTimeline::new();
    let file = dmashare::SyncFile::new(sw_sync.fence(1)).unwrap();
    shared.add_fence(Access::Read, file.into()).unwrap();
    drop((software, sw_sync));
    move_to(&shared, Placement::Host);
    assert_content(&shared, &[&device], &pixels, "after the failures");
}

/// A mapping of the new memory is stale when the move is undone. Work on it is told that, and not that
/// the content is lost: it is right in the old memory.
#[test]
fn work_that_waits_for_a_move_that_is_undone_is_told_to_map_again() {
    let _alone = alone();
    let device = device();
    let exporter = FailingCopies {
        memory: HostMemory::open().unwrap(),
        copying: Arc::default(),
    };
    let shared = SharedBuffer::new_dynamic(&exporter, small("undone"), &at(Placement::Host));
    let shared = shared.unwrap();
    let pixels = pattern(64 * 32 * 4, 3);
    upload(&shared, &device, &pixels);
    let flag = Arc::new(AtomicBool::new(false));
    let attachment = shared.attach_dynamic(&device, flag).unwrap();
    let (moved, begun) = std::thread::scope(|scope| {
        let mover = scope.spawn(|| shared.move_to(&at(Placement::Shmem)));
        while !exporter.copying.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let mapping = attachment.map().unwrap();
        let begun = device.submission([mapping.read()]).map(drop);
        (mover.join().unwrap(), begun)
    });
    assert!(matches!(moved, Err(MoveError::Copy { .. })), "{moved:?}");
    assert!(matches!(begun, Err(SubmitError::Stale { .. })), "{begun:?}");
    assert_content(&shared, &[&device], &pixels, "after the move was undone");
}
