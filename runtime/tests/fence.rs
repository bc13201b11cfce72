//! `FenceSet`, `SoftwareTimeline`, `RetireQueue`: no kernel needed.
#![allow(missing_docs, clippy::unwrap_used)]

use std::thread;
use std::time::Duration;

use dmashare::{Fence, FenceError, FenceSet, FenceStatus, RetireQueue, SoftwareTimeline};
use nix::errno::Errno;
use proptest::prelude::*;

#[test]
fn points_signal_in_order_and_never_go_back() {
    let timeline = SoftwareTimeline::new("test");
    let (first, second) = (timeline.fence(1), timeline.fence(2));
    timeline.signal(1);
    assert_eq!(
        (first.status(), second.status()),
        (FenceStatus::Signalled, FenceStatus::Pending)
    );
    timeline.signal(2);
    timeline.signal(1);
    assert_eq!(second.status(), FenceStatus::Signalled);
    assert_eq!(timeline.signalled(), 2);
}

#[test]
fn waiting_ends_with_the_signal_the_limit_or_the_producer() {
    let timeline = SoftwareTimeline::new("display Virtual-1");
    let (soon, never) = (timeline.fence(1), timeline.fence(2));
    assert!(matches!(
        soon.wait(Duration::from_millis(5)),
        Err(FenceError::Timeout { .. })
    ));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| soon.wait(Duration::from_secs(30)));
        timeline.signal(1);
        waiter.join().unwrap().unwrap();
    });
    assert!(matches!(
        never.export_sync_file(),
        Err(FenceError::NoSyncFile { .. })
    ));
    drop(timeline);
    assert_eq!(never.status(), FenceStatus::Failed(Errno::EOWNERDEAD));
    match never.wait(Duration::from_secs(30)) {
        Err(FenceError::ProducerGone { producer }) => assert_eq!(producer, "display Virtual-1"),
        other => panic!("{other:?}"),
    }
    soon.wait(Duration::ZERO).unwrap();
}

#[test]
fn a_set_keeps_the_latest_point_of_each_timeline() {
    let (a, b) = (SoftwareTimeline::new("a"), SoftwareTimeline::new("b"));
    let set: FenceSet = [a.fence(2), b.fence(1), a.fence(1), a.fence(3)]
        .into_iter()
        .collect();
    assert_eq!(set.iter().count(), 2);
    a.signal(2);
    b.signal(1);
    assert_eq!(set.status(), FenceStatus::Pending);
    a.signal(3);
    assert_eq!(set.status(), FenceStatus::Signalled);
    assert_eq!(FenceSet::new().status(), FenceStatus::Signalled);
}

#[test]
fn a_failed_fence_fails_the_set_once_nothing_is_pending() {
    let (a, b) = (SoftwareTimeline::new("a"), SoftwareTimeline::new("b"));
    let set: FenceSet = [a.fence(1), b.fence(1)].into_iter().collect();
    drop(a);
    assert_eq!(set.status(), FenceStatus::Pending);
    b.signal(1);
    assert_eq!(set.status(), FenceStatus::Failed(Errno::EOWNERDEAD));
}

#[test]
fn i6_a_retired_object_goes_after_its_fences_and_not_before() {
    let timeline = SoftwareTimeline::new("gpu");
    let queue = RetireQueue::new();
    queue.push("late", [timeline.fence(2)].into_iter().collect());
    queue.push("soon", [timeline.fence(1)].into_iter().collect());
    queue.push("now", FenceSet::new());
    let mut gone = Vec::new();
    assert_eq!(queue.collect(|object| gone.push(object)), 1);
    timeline.signal(1);
    queue.collect(|object| gone.push(object));
    assert_eq!(
        (gone.as_slice(), queue.len()),
        (["now", "soon"].as_slice(), 1)
    );
    // A producer that dies does not keep memory for ever.
    drop(timeline);
    queue.collect(|object| gone.push(object));
    assert!(queue.is_empty());
}

#[test]
fn destroying_may_retire_more() {
    let queue = RetireQueue::new();
    queue.push(3, FenceSet::new());
    let collected = queue.collect(|left| {
        if left > 0 {
            queue.push(left - 1, FenceSet::new());
        }
    });
    assert_eq!((collected, queue.len()), (1, 1));
}

#[test]
fn a_deadline_ends_a_fence_in_an_error_that_stays() {
    let timeline = SoftwareTimeline::new("worker");
    let plain = timeline.fence(1);
    let fence = timeline.fence_within(1, Duration::from_millis(20));
    assert_eq!(
        (fence.status(), fence.producer()),
        (FenceStatus::Pending, "worker")
    );
    assert!(matches!(
        fence.wait(Duration::from_millis(1)),
        Err(FenceError::Timeout { .. })
    ));
    match fence.wait(Duration::from_secs(30)) {
        Err(FenceError::Expired { producer }) => assert_eq!(producer, "worker"),
        other => panic!("{other:?}"),
    }
    // What comes too late is of no use to those who were told.
    timeline.signal(1);
    assert_eq!(plain.status(), FenceStatus::Signalled);
    assert_eq!(fence.status(), FenceStatus::Failed(Errno::ETIMEDOUT));
    assert!(matches!(
        fence.wait(Duration::ZERO),
        Err(FenceError::Expired { .. })
    ));
    assert!(matches!(
        fence.export_sync_file(),
        Err(FenceError::Expired { .. })
    ));
}

#[test]
fn a_fence_that_signals_before_its_deadline_stays_signalled() {
    let timeline = SoftwareTimeline::new("worker");
    let fence = timeline.fence_within(1, Duration::from_millis(50));
    let far = timeline.fence(2).with_deadline(Duration::MAX);
    timeline.signal(1);
    fence.wait(Duration::ZERO).unwrap();
    thread::sleep(Duration::from_millis(60));
    assert_eq!(fence.status(), FenceStatus::Signalled);
    assert_eq!(far.status(), FenceStatus::Pending);
    drop(timeline);
    assert_eq!(far.status(), FenceStatus::Failed(Errno::EOWNERDEAD));
    assert!(matches!(
        far.wait(Duration::from_secs(30)),
        Err(FenceError::ProducerGone { .. } | FenceError::Failed { .. })
    ));
}

fn is_readable(fence: &Fence, fd: &std::os::fd::OwnedFd, wait: u16) -> bool {
    use std::os::fd::AsFd;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    let readable = poll(&mut fds, PollTimeout::from(wait)).unwrap() > 0;
    assert_eq!(readable, fence.status().is_over());
    readable
}

#[test]
fn an_event_loop_can_poll_a_software_fence() {
    let timeline = SoftwareTimeline::new("worker");
    let (first, second) = (timeline.fence(1), timeline.fence(2));
    let (a, b) = (first.pollable().unwrap(), second.pollable().unwrap());
    assert!(!is_readable(&first, &a, 0) && !is_readable(&second, &b, 0));
    timeline.signal(1);
    assert!(is_readable(&first, &a, 0) && !is_readable(&second, &b, 0));
    // It stays readable, and a late one is so at once.
    assert!(is_readable(&first, &a, 0));
    assert!(is_readable(&first, &first.pollable().unwrap(), 0));
    thread::scope(|scope| {
        scope.spawn(|| drop(timeline));
        let mut over = false;
        while !over {
            over = second.status().is_over();
        }
        assert!(is_readable(&second, &b, 5000));
    });
    assert!(is_readable(&second, &second.pollable().unwrap(), 0));
}

#[test]
fn the_descriptor_of_a_fence_with_a_deadline_becomes_readable_either_way() {
    let timeline = SoftwareTimeline::new("worker");
    let late = timeline.fence_within(1, Duration::from_millis(30));
    let polled = late.pollable().unwrap();
    assert!(!is_readable(&late, &polled, 0));
    assert!(is_readable(&late, &polled, 5000), "at the deadline");
    assert!(is_readable(&late, &late.pollable().unwrap(), 0));
    let early = timeline.fence_within(2, Duration::from_secs(3600));
    let polled = [early.pollable().unwrap(), early.pollable().unwrap()];
    assert!(!is_readable(&early, &polled[0], 0));
    timeline.signal(2);
    for polled in polled {
        assert!(is_readable(&early, &polled, 0));
    }
}

#[test]
fn descriptors_that_were_closed_are_not_kept() {
    let timeline = SoftwareTimeline::new("worker");
    let fence = timeline.fence(1);
    let kept = fence.pollable().unwrap();
    let before = dmashare_lab_probe::open_files().len();
    for _ in 0..200 {
        drop(fence.pollable().unwrap());
    }
    let after = dmashare_lab_probe::open_files().len();
    assert!(after < before + 20, "{before} files, then {after}");
    timeline.signal(1);
    assert!(is_readable(&fence, &kept, 0));
    assert!(dmashare_lab_probe::open_files().len() < before);
}

proptest! {
    /// A set is over exactly when every fence that was put in is.
    #[test]
    fn a_set_is_over_when_all_its_fences_are(
        points in prop::collection::vec((0_usize..3, 1_u64..6), 0..12),
        signalled in prop::array::uniform3(0_u64..6),
    ) {
        let timelines = [SoftwareTimeline::new("0"), SoftwareTimeline::new("1"), SoftwareTimeline::new("2")];
        let set: FenceSet = points.iter().map(|(timeline, point)| timelines[*timeline].fence(*point)).collect();
        for (timeline, point) in timelines.iter().zip(signalled) {
            timeline.signal(point);
        }
        let over = points.iter().all(|(timeline, point)| *point <= signalled[*timeline]);
        prop_assert_eq!(set.status().is_over(), over);
    }
}
