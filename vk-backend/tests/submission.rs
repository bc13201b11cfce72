//! Submissions: what they wait for, in which order they signal, and what a dropped one leaves behind.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use dmashare::{
    Access, Fence, FenceError, FenceStatus, Mapping, SharedBuffer, SoftwareTimeline, Submission,
    SubmitError, SyncFile,
};
use dmashare_lab_probe::{SwSyncTimeline, within_time_limit};
use dmashare_vk::ash::vk;
use dmashare_vk::{Device, QueueHeld};
use support::{LONG, assert_same_bytes, buffer, device, map, pattern, submit_empty};

const SECOND: Duration = Duration::from_secs(1);

fn point(fence: &Fence) -> u64 {
    match fence {
        Fence::Point { point, .. } => *point,
        other => panic!("not a point: {other:?}"),
    }
}

/// Adds a fence to a buffer's reservation as that of a writer who is no Vulkan device.
fn add_write(shared: &SharedBuffer, device: &Device, fence: &Fence) {
    let mapping = map(shared, device);
    Submission::begin([mapping.write()]).unwrap().commit(fence);
}

#[test]
fn points_grow_and_signal_in_order() {
    let device = device();
    let shared = buffer(&device, "order");
    let mapping = map(&shared, &device);
    let mut last = 0;
    for _ in 0..100 {
        let fence = submit_empty(&device, &mapping, Access::Write);
        assert!(point(&fence) > last);
        last = point(&fence);
    }
    shared.wait_ready(Access::Write, LONG).unwrap();
    assert_eq!(shared.ready(Access::Write).status(), FenceStatus::Signalled);
}

#[test]
fn a_dropped_submission_adds_nothing_and_stops_nobody() {
    let device = device();
    let shared = buffer(&device, "dropped");
    let mapping = map(&shared, &device);
    let given_up = device.submission([mapping.write()]).unwrap();
    let given_up_point = given_up.signals()[0].value;
    drop(given_up);
    assert!(shared.ready(Access::Write).is_empty());
    // The next one passes the point that nobody signals.
    let fence = submit_empty(&device, &mapping, Access::Write);
    assert!(point(&fence) > given_up_point);
    fence.wait(LONG).unwrap();
}

#[test]
fn the_next_use_waits_for_the_own_timeline() {
    let device = device();
    let sw_sync = SwSyncTimeline::new();
    let (shared, other) = (buffer(&device, "own"), buffer(&device, "other"));
    let (mapping, unrelated) = (map(&shared, &device), map(&other, &device));
    // The first work waits until the test says so, so its point stays pending.
    let file = SyncFile::new(sw_sync.fence(1)).unwrap();
    add_write(&shared, &device, &file.into());
    let first = submit_empty(&device, &mapping, Access::Write);
    assert_eq!(first.status(), FenceStatus::Pending);
    let second = device.submission([mapping.read()]).unwrap();
    assert!(
        second
            .waits()
            .iter()
            .any(|wait| wait.value == point(&first))
    );
    drop(second);
    let submission = device.submission([unrelated.write()]).unwrap();
    assert!(submission.waits().is_empty());
    drop(submission);
    sw_sync.increment(1);
    first.wait(LONG).unwrap();
    // Signalled fences cost nothing.
    assert!(
        device
            .submission([mapping.write()])
            .unwrap()
            .waits()
            .is_empty()
    );
}

#[test]
fn a_pending_sync_file_holds_the_queue_and_not_the_caller() {
    let device = device();
    let shared = buffer(&device, "sync_file");
    let mapping = map(&shared, &device);
    let sw_sync = SwSyncTimeline::new();
    let file = SyncFile::new(sw_sync.fence(1)).unwrap();
    add_write(&shared, &device, &file.into());
    let start = Instant::now();
    let fence = submit_empty(&device, &mapping, Access::Read);
    assert!(start.elapsed() < SECOND);
    assert!(matches!(
        fence.wait(Duration::from_millis(200)),
        Err(FenceError::Timeout { .. })
    ));
    sw_sync.increment(1);
    fence.wait(LONG).unwrap();
}

#[test]
fn readers_do_not_wait_for_readers() {
    let device = device();
    let shared = buffer(&device, "readers");
    let mapping = map(&shared, &device);
    let sw_sync = SwSyncTimeline::new();
    let file: Fence = SyncFile::new(sw_sync.fence(1)).unwrap().into();
    Submission::begin([map(&shared, &device).read()])
        .unwrap()
        .commit(&file);
    assert!(
        device
            .submission([mapping.read()])
            .unwrap()
            .waits()
            .is_empty()
    );
    assert_eq!(
        device.submission([mapping.write()]).unwrap().waits().len(),
        1
    );
    sw_sync.increment(1);
}

#[test]
fn another_device_waits_for_the_first() {
    let (a, b) = (device(), device());
    let shared = buffer(&a, "two devices");
    let (in_a, in_b) = (map(&shared, &a), map(&shared, &b));
    let pixels = pattern(64 * 32 * 4, 9);
    a.transfer().upload(&in_a, &pixels).unwrap();
    let sw_sync = SwSyncTimeline::new();
    let file = SyncFile::new(sw_sync.fence(1)).unwrap();
    add_write(&shared, &a, &file.into());
    let fence_a = submit_empty(&a, &in_a, Access::Write);
    assert_eq!(fence_a.status(), FenceStatus::Pending);
    thread::scope(|scope| {
        // B needs a sync_file of A's fence; the driver may block B's thread until A is done, but it
        // must not block anyone under the reservation.
        let reader = scope.spawn(|| {
            let fence_b = submit_empty(&b, &in_b, Access::Read);
            fence_b.wait(LONG).unwrap();
            assert_eq!(fence_a.status(), FenceStatus::Signalled);
        });
        thread::sleep(Duration::from_millis(100));
        let start = Instant::now();
        assert!(!shared.ready(Access::Write).is_empty());
        // The other side can still lock the buffer.
        drop(Submission::begin([in_a.read()]).unwrap());
        assert!(start.elapsed() < SECOND);
        sw_sync.increment(1);
        reader.join().unwrap();
    });
    let read = b.transfer().download(&in_b).unwrap();
    assert_same_bytes(&read, &pixels, "after the wait");
}

#[test]
fn submissions_that_are_given_up_gather_nothing() {
    let device = device();
    let shared = buffer(&device, "given up");
    let mapping = map(&shared, &device);
    let sw_sync = SwSyncTimeline::new();
    let file = SyncFile::new(sw_sync.fence(1)).unwrap();
    add_write(&shared, &device, &file.into());
    let files = |rounds: u32| {
        for round in 0..rounds {
            let submission = device.submission([mapping.read()]).unwrap();
            assert_eq!(submission.waits().len(), 1);
            drop(submission);
            if round % 20 == 0 {
                thread::sleep(Duration::from_millis(2));
            }
        }
        dmashare_lab_probe::open_files()
            .iter()
            .filter(|file| file.target.contains("sync_file"))
            .count()
    };
    let few = files(100);
    assert!(files(900) < few + 100, "sync_files gather");
    sw_sync.increment(1);
}

#[test]
fn a_software_fence_is_refused_while_it_is_pending() {
    let device = device();
    let shared = buffer(&device, "software");
    let mapping = map(&shared, &device);
    let display = SoftwareTimeline::new("display Virtual-1");
    add_write(&shared, &device, &display.fence(1));
    match device.submission([mapping.write()]) {
        Err(SubmitError::NotReady {
            buffer, producer, ..
        }) => {
            assert_eq!(buffer, "software");
            assert_eq!(producer, "display Virtual-1");
        }
        other => panic!("{other:?}"),
    }
    display.signal(1);
    submit_empty(&device, &mapping, Access::Write)
        .wait(LONG)
        .unwrap();
}

#[test]
fn a_failed_write_is_reported_and_a_failed_read_is_not() {
    let device = device();
    let (written, read) = (buffer(&device, "written"), buffer(&device, "read"));
    let producer = SoftwareTimeline::new("producer");
    add_write(&written, &device, &producer.fence(1));
    Submission::begin([map(&read, &device).read()])
        .unwrap()
        .commit(&producer.fence(1));
    drop(producer);
    assert!(matches!(
        device.submission([map(&written, &device).read()]),
        Err(SubmitError::Fence(FenceError::Failed { producer, .. })) if producer == "producer"
    ));
    submit_empty(&device, &map(&read, &device), Access::Write)
        .wait(LONG)
        .unwrap();
}

#[test]
fn the_queue_is_locked_once_a_thread() {
    let device = device();
    let shared = buffer(&device, "queue");
    let mapping = map(&shared, &device);
    let submission = device.submission([mapping.write()]).unwrap();
    let held = |error: SubmitError| match error {
        SubmitError::Device { source, .. } => source.is::<QueueHeld>(),
        _ => false,
    };
    assert!(held(device.queue().unwrap_err()));
    assert!(held(device.submission([mapping.read()]).unwrap_err()));
    drop(submission);
    let queue = device.queue().unwrap();
    assert!(held(device.submission([mapping.read()]).unwrap_err()));
    drop(queue);
    submit_empty(&device, &mapping, Access::Read)
        .wait(LONG)
        .unwrap();
}

/// Two threads, each with a submission of one device, begin one of the other's.
#[test]
fn i16_a_submission_inside_another_is_refused_without_a_wait() {
    within_time_limit(|| {
        let (a, b) = (device(), device());
        let shared = [buffer(&a, "first"), buffer(&a, "second")];
        let devices = [&a, &b];
        let both_have_begun = std::sync::Barrier::new(2);
        let both_were_refused = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            for own in 0..2 {
                let (shared, devices) = (&shared, &devices);
                let (begun, refused) = (&both_have_begun, &both_were_refused);
                scope.spawn(move || {
                    let other = 1 - own;
                    let mappings =
                        [0, 1].map(|device: usize| map(&shared[device], devices[device]));
                    let submission = devices[own].submission([mappings[own].write()]).unwrap();
                    begun.wait();
                    let nested = devices[other].submission([mappings[other].read()]);
                    let queue = devices[other].queue().map(drop);
                    refused.wait();
                    drop(submission);
                    assert!(matches!(
                        nested.map(drop),
                        Err(SubmitError::WouldDeadlock { .. })
                    ));
                    assert!(matches!(queue, Err(SubmitError::WouldDeadlock { .. })));
                });
            }
        });
    });
}

#[test]
fn threads_that_submit_in_opposite_order_never_deadlock() {
    const ROUNDS: u32 = 300;
    let (a, b) = (device(), device());
    let buffers: Vec<_> = (0..4).map(|_| buffer(&a, "ring")).collect();
    let mappings_a: Vec<_> = buffers.iter().map(|buffer| map(buffer, &a)).collect();
    let mappings_b: Vec<_> = buffers.iter().map(|buffer| map(buffer, &b)).collect();
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for thread in 0..4 {
            let (device, mappings) = if thread % 2 == 0 {
                (&a, &mappings_a)
            } else {
                (&b, &mappings_b)
            };
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                for round in 0..ROUNDS {
                    let uses: Vec<_> = match (thread + round) % 3 {
                        0 => mappings.iter().map(Mapping::write).collect(),
                        1 => mappings.iter().rev().map(Mapping::write).collect(),
                        _ => mappings[1..3].iter().rev().map(Mapping::read).collect(),
                    };
                    let submission = loop {
                        match device.submission(uses.iter().cloned()) {
                            Ok(submission) => break submission,
                            // New fences of the other device kept turning up.
                            Err(SubmitError::NotReady { .. }) => thread::yield_now(),
                            Err(error) => panic!("{error}"),
                        }
                    };
                    // SAFETY: there are no command buffers.
                    unsafe { submission.submit(&[]) }.unwrap();
                }
            });
        }
    });
    for buffer in &buffers {
        buffer.wait_ready(Access::Write, LONG).unwrap();
    }
}

#[test]
fn what_a_lost_device_owes_ends_in_an_error() {
    let device = device();
    let shared = buffer(&device, "lost");
    let mapping = map(&shared, &device);
    let sw_sync = SwSyncTimeline::new();
    let file = SyncFile::new(sw_sync.fence(1)).unwrap();
    add_write(&shared, &device, &file.into());
    let fence = submit_empty(&device, &mapping, Access::Write);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| fence.wait(LONG));
        thread::sleep(Duration::from_millis(50));
        let start = Instant::now();
        device.mark_lost();
        assert!(matches!(
            waiter.join().unwrap(),
            Err(FenceError::Device { source, .. })
                if source.downcast_ref() == Some(&vk::Result::ERROR_DEVICE_LOST)
        ));
        assert!(start.elapsed() < 5 * SECOND);
    });
    assert!(matches!(fence.status(), FenceStatus::Failed(_)));
    assert!(matches!(
        device.submission([mapping.write()]),
        Err(SubmitError::Device { .. })
    ));
    let again = SharedBuffer::new(
        &device,
        support::small("again"),
        &[dmashare::Modifier::LINEAR],
    );
    assert!(again.is_err());
    assert!(fence.export_sync_file().is_err());
    // Vulkan itself is not lost here, so its work must be let go before the objects are.
    sw_sync.increment(1);
}
