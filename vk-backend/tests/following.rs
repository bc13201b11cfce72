//! Vulkan importers that are told before their buffer moves, and follow it.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dmashare::{
    Access, Extent, Fence, FenceStatus, Fourcc, InvalidationContext, MapError, Placement,
    SubmitError,
};
use dmashare_lab_probe::{SwSyncTimeline, open_files};
use dmashare_vk::{Device, TransferError};
use support::{
    LONG, alone, assert_same_bytes, at, busy_until, desc, device, download, inode, kernel_exporter,
    map_dynamic, movable, movable_buffer, move_to, packed_size, pattern, small, submit_empty,
    upload,
};

fn point(fence: &Fence) -> u64 {
    match fence {
        Fence::Point { point, .. } => *point,
        other => panic!("not a point: {other:?}"),
    }
}

#[test]
fn i4_a_stale_mapping_is_refused_and_the_next_one_is_of_the_new_memory() {
    let _alone = alone();
    let (device, other) = (support::device(), support::device());
    let images = movable(&device);
    let shared = movable_buffer(&images, small("followed"));
    let pixels = pattern(64 * 32 * 4, 1);
    upload(&shared, &device, &pixels);
    let flag = Arc::new(AtomicBool::new(false));
    let attachment = shared.attach_dynamic(&other, flag.clone()).unwrap();
    let old = attachment.map().unwrap();
    assert!(!flag.load(Ordering::Acquire));
    move_to(&shared, Placement::Host);
    assert!(flag.load(Ordering::Acquire));
    assert!(old.is_stale());
    let refused = other.submission([old.read()]).map(drop);
    assert!(
        matches!(refused, Err(SubmitError::Stale { .. })),
        "{refused:?}"
    );
    let refused = other.transfer().download(&old);
    assert!(
        matches!(
            refused,
            Err(TransferError::Submit(SubmitError::Stale { .. }))
        ),
        "{refused:?}"
    );
    let new = attachment.map().unwrap();
    assert!(!new.is_stale());
    assert_ne!(new.object().raw(), old.object().raw());
    assert_eq!(new.backing().placement(), Placement::Host);
    let read = other.transfer().download(&new).unwrap();
    assert_same_bytes(&read, &pixels, "followed");
    // Of the same memory it is the same object.
    assert!(attachment.map().unwrap().is_same(&new));
}

#[test]
fn i5_every_device_that_maps_is_told_once_for_each_move() {
    let _alone = alone();
    let (device, other) = (support::device(), support::device());
    let images = movable(&device);
    let shared = movable_buffer(&images, small("told"));
    let count = || Arc::new(AtomicUsize::new(0));
    let counts = [count(), count(), count()];
    let callback = |index: usize| {
        let count = counts[index].clone();
        move |_: &InvalidationContext<'_>| {
            count.fetch_add(1, Ordering::AcqRel);
        }
    };
    let attachments = [
        shared.attach_dynamic(&device, callback(0)).unwrap(),
        shared.attach_dynamic(&other, callback(1)).unwrap(),
    ];
    let _unmapped = shared.attach_dynamic(&other, callback(2)).unwrap();
    for round in 0..6 {
        for attachment in &attachments {
            drop(attachment.map().unwrap());
        }
        let away = [Placement::Host, Placement::Device][round % 2];
        move_to(&shared, away);
        let told = counts.each_ref().map(|count| count.load(Ordering::Acquire));
        assert_eq!(told, [round + 1, round + 1, 0]);
        shared.dispatch();
    }
}

/// The old image goes when the work with it is over, and the old memory when nobody maps it.
#[test]
fn i6_the_old_image_outlives_its_work() {
    let _alone = alone();
    let (device, other) = (support::device(), support::device());
    let images = movable(&device);
    let shared = movable_buffer(&images, small("old"));
    let first = inode(&shared);
    shared.set_stale_deadline(LONG);
    let attachment = shared
        .attach_dynamic(&other, Arc::new(AtomicBool::new(false)))
        .unwrap();
    let sw_sync = SwSyncTimeline::new();
    let mapping = attachment.map().unwrap();
    let work = busy_until(&other, &mapping, &sw_sync, 1);
    drop(mapping);
    // Making a semaphore of the other device's fence may block in its driver until it is done.
    let moved = thread::scope(|scope| {
        let mover = scope.spawn(|| shared.move_to(&at(Placement::Host)).unwrap());
        let start = Instant::now();
        while shared.backing().placement() == Placement::Device {
            assert!(start.elapsed() < LONG);
            thread::yield_now();
        }
        // The attachment's own mapping was let go of with the move, and waits for its work.
        while other.retired() == 0 {
            assert!(start.elapsed() < LONG);
            thread::yield_now();
        }
        assert_eq!(other.dispatch(), 0);
        assert_eq!(shared.dispatch(), 0);
        assert!(kernel_exporter(first).is_some());
        sw_sync.increment(1);
        mover.join().unwrap()
    });
    moved.wait(LONG).unwrap();
    assert!(work.status().is_over());
    assert_eq!(other.dispatch(), 1);
    assert_eq!(shared.dispatch(), 1);
    images.shrink(Placement::Device, u64::MAX);
    assert_eq!(kernel_exporter(first), None);
}

/// What a submission costs on a buffer that has just moved: one wait for the device's own timeline
/// while the copy is pending, and nothing once it is over. No allocation either way.
#[test]
fn i7_the_first_use_after_a_move_waits_for_the_copy_and_allocates_nothing() {
    let _alone = alone();
    let device = device();
    let images = movable(&device);
    let shared = movable_buffer(&images, small("just moved"));
    let attachment = shared
        .attach_dynamic(&device, Arc::new(AtomicBool::new(false)))
        .unwrap();
    let sw_sync = SwSyncTimeline::new();
    busy_until(&device, &attachment.map().unwrap(), &sw_sync, 1);
    let moved = shared.move_to(&at(Placement::Host)).unwrap();
    let mapping = attachment.map().unwrap();
    let submission = device.submission([mapping.read()]).unwrap();
    // The copy's own fence has taken the place of the move's.
    assert_eq!(submission.waits().len(), 1);
    let ready: Vec<Fence> = {
        drop(submission);
        shared.ready(Access::Read).iter().cloned().collect()
    };
    assert_eq!(ready.len(), 1);
    let submission = device.submission([mapping.read()]).unwrap();
    assert_eq!(submission.waits()[0].value, point(&ready[0]));
    drop(submission);
    let frame = || {
        let mapping = attachment.map().unwrap();
        submit_empty(&device, &mapping, Access::Read)
    };
    let last = frame();
    let files = open_files().len();
    let count = allocation_counter::measure(|| {
        for _ in 0..50 {
            frame();
        }
    });
    assert_eq!(count.count_total, 0, "while the copy is pending");
    assert_eq!(open_files().len(), files);
    assert!(!moved.is_over());
    sw_sync.increment(1);
    moved.wait(LONG).unwrap();
    last.wait(LONG).unwrap();
    frame().wait(LONG).unwrap();
    let submission = device.submission([mapping.write()]).unwrap();
    assert!(submission.waits().is_empty());
    drop(submission);
    let count = allocation_counter::measure(|| {
        for _ in 0..50 {
            frame().wait(LONG).unwrap();
        }
    });
    assert_eq!(count.count_total, 0, "once the copy is over");
}

/// Another device's first use after a move waits for the copy on its own queue.
#[test]
fn i7_another_device_waits_for_the_copy() {
    let _alone = alone();
    let (device, other) = (support::device(), support::device());
    let images = movable(&device);
    let shared = movable_buffer(&images, small("another's"));
    let attachment = shared
        .attach_dynamic(&other, Arc::new(AtomicBool::new(false)))
        .unwrap();
    let sw_sync = SwSyncTimeline::new();
    busy_until(&device, &map_dynamic(&shared, &device), &sw_sync, 1);
    let moved = shared.move_to(&at(Placement::Host)).unwrap();
    let mapping = attachment.map().unwrap();
    thread::scope(|scope| {
        // The driver may block this thread while it makes the semaphore; the buffer stays usable.
        let user = scope.spawn(|| submit_empty(&other, &mapping, Access::Read));
        thread::sleep(Duration::from_millis(50));
        assert!(!moved.is_over());
        sw_sync.increment(1);
        user.join().unwrap().wait(LONG).unwrap();
        assert!(moved.is_over(), "used before the copy was done");
    });
    // Later uses find nothing to wait for.
    let submission = other.submission([mapping.read()]).unwrap();
    assert!(submission.waits().is_empty());
}

/// Between the moment at which the old mappings went stale and the submission of the copy, a use gets
/// the move's own fence, which no device knows: it waits for the submission, and then for the copy.
#[test]
fn i7_a_use_that_comes_before_the_copy_is_submitted_waits_for_it() {
    let _alone = alone();
    let (device, other) = (support::device(), support::device());
    let images = movable(&device);
    let shared = movable_buffer(&images, small("raced"));
    let pixels = pattern(64 * 32 * 4, 4);
    upload(&shared, &device, &pixels);
    let attach = |user: &Device| {
        let flag = Arc::new(AtomicBool::new(false));
        shared.attach_dynamic(user, flag).unwrap()
    };
    let attachments = [attach(&device), attach(&other)];
    let sw_sync = SwSyncTimeline::new();
    busy_until(&other, &attachments[1].map().unwrap(), &sw_sync, 1);
    thread::scope(|scope| {
        // Where the driver blocks the mover while it makes a semaphore of the other device's fence,
        // the copy is not submitted before the signal.
        let mover = scope.spawn(|| shared.move_to(&at(Placement::Host)).unwrap());
        let start = Instant::now();
        while shared.backing().placement() == Placement::Device {
            assert!(start.elapsed() < LONG);
            thread::yield_now();
        }
        let mapping = attachments[0].map().unwrap();
        let user = scope.spawn(move || submit_empty(mapping.importer(), &mapping, Access::Read));
        thread::sleep(Duration::from_millis(100));
        sw_sync.increment(1);
        let (moved, used) = (mover.join().unwrap(), user.join().unwrap());
        used.wait(LONG).unwrap();
        assert!(moved.is_over(), "used before the copy was done");
    });
    for attachment in &attachments {
        let user = attachment.importer();
        let mapping = attachment.map().unwrap();
        let read = user.transfer().download(&mapping).unwrap();
        assert_same_bytes(&read, &pixels, "after the race");
    }
}

/// Moves there and back on one thread, uses by two devices on two others: a submission finds the
/// mapping fresh, and the content whole, or is told that it is stale.
#[test]
fn i15_uses_and_moves_at_the_same_time() {
    let _alone = alone();
    let (device, other) = (support::device(), support::device());
    let images = movable(&device);
    let extent = Extent::new(333, 77);
    let shared = movable_buffer(&images, desc("busy", Fourcc::XRGB8888, extent));
    let pixels = pattern(packed_size(Fourcc::XRGB8888, extent), 2);
    upload(&shared, &device, &pixels);
    let over = AtomicBool::new(false);
    let (fresh, stale) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for user in [&device, &other] {
            let pixels = &pixels;
            let (over, fresh, stale) = (&over, &fresh, &stale);
            let attachment = shared
                .attach_dynamic(user, Arc::new(AtomicBool::new(false)))
                .unwrap();
            scope.spawn(move || {
                while !over.load(Ordering::Acquire) {
                    let mapping = match attachment.map() {
                        Ok(mapping) => mapping,
                        Err(MapError::Restless { .. }) => continue,
                        Err(error) => panic!("{error:?}"),
                    };
                    match user.transfer().download(&mapping) {
                        Ok(read) => {
                            assert_same_bytes(&read, pixels, "while it moves");
                            fresh.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(TransferError::Submit(SubmitError::Stale { .. })) => {
                            stale.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => panic!("{error:?}"),
                    }
                    user.dispatch();
                }
            });
        }
        for round in 0..100 {
            let away = [Placement::Host, Placement::Device, Placement::Shmem][round % 3];
            shared.move_to(&at(away)).unwrap();
            shared.dispatch();
            if round % 10 == 0 {
                thread::sleep(Duration::from_millis(5));
            }
        }
        over.store(true, Ordering::Release);
    });
    assert!(fresh.load(Ordering::Relaxed) > 0);
    shared.wait_ready(Access::Write, LONG).unwrap();
    for device in [&device, &other] {
        assert_same_bytes(&download(&shared, device), &pixels, "in the end");
        device.dispatch();
    }
    shared.dispatch();
    assert_eq!(shared.ready(Access::Write).status(), FenceStatus::Signalled);
}
