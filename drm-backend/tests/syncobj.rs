//! drm_syncobj, binary and as a timeline, on vgem.
#![allow(clippy::unwrap_used)]

use std::os::fd::AsFd;
use std::time::Duration;

use dmashare::{Fence, FenceError, FenceStatus, SoftwareTimeline, SyncFile};
use dmashare_drm::{Card, Syncobj, SyncobjDevice, SyncobjError, SyncobjTimeline, SyncobjWait};
use dmashare_lab_probe::{SwSyncTimeline, VkmsDisplay, within_time_limit};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

const SOON: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(5);

fn device() -> SyncobjDevice {
    SyncobjDevice::of_driver("vgem").unwrap()
}

fn sync_file(timeline: &SwSyncTimeline, value: u32) -> SyncFile {
    SyncFile::new(timeline.fence(value)).unwrap()
}

fn pending(file: &SyncFile) -> bool {
    file.status().unwrap() == FenceStatus::Pending
}

fn wait() -> SyncobjWait {
    SyncobjWait::default()
}

fn for_submit() -> SyncobjWait {
    SyncobjWait {
        for_submit: true,
        ..wait()
    }
}

fn available() -> SyncobjWait {
    SyncobjWait {
        available: true,
        ..for_submit()
    }
}

#[test]
fn a_binary_one_takes_and_gives_sync_files() {
    let device = device();
    let syncobj = device.create(false).unwrap();
    assert!(matches!(
        syncobj.export_sync_file(0),
        Err(SyncobjError::NoFence)
    ));
    let timeline = SwSyncTimeline::new();
    syncobj
        .import_sync_file(0, &sync_file(&timeline, 1))
        .unwrap();
    let exported = syncobj.export_sync_file(0).unwrap();
    assert!(pending(&exported));
    // Another fence in its place does not change what was exported.
    syncobj
        .import_sync_file(0, &sync_file(&timeline, 2))
        .unwrap();
    let second = syncobj.export_sync_file(0).unwrap();
    timeline.increment(1);
    assert!(!pending(&exported) && pending(&second));
    syncobj.signal(0).unwrap();
    syncobj.wait(0, wait(), Duration::ZERO).unwrap();
    assert!(pending(&second));
    syncobj.reset().unwrap();
    assert!(matches!(
        syncobj.export_sync_file(0),
        Err(SyncobjError::NoFence)
    ));
    assert!(!pending(
        &device.create(true).unwrap().export_sync_file(0).unwrap()
    ));
    timeline.increment(1);
}

#[test]
fn waits_end_with_the_fence_the_limit_or_at_once() {
    within_time_limit(|| {
        let device = device();
        let syncobj = device.create(false).unwrap();
        let waited = |what, time| syncobj.wait(0, what, time);
        assert!(matches!(waited(wait(), SOON), Err(SyncobjError::NoFence)));
        assert!(matches!(
            waited(for_submit(), SOON),
            Err(SyncobjError::Timeout)
        ));
        assert!(matches!(
            waited(available(), SOON),
            Err(SyncobjError::Timeout)
        ));
        let timeline = SwSyncTimeline::new();
        syncobj
            .import_sync_file(0, &sync_file(&timeline, 1))
            .unwrap();
        assert!(matches!(waited(wait(), SOON), Err(SyncobjError::Timeout)));
        assert!(matches!(
            waited(for_submit(), Duration::ZERO),
            Err(SyncobjError::Timeout)
        ));
        waited(available(), SOON).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| syncobj.wait(0, wait(), LONG));
            timeline.increment(1);
            waiter.join().unwrap().unwrap();
        });
        waited(wait(), Duration::ZERO).unwrap();
        // A fence that comes only while somebody waits for it.
        let late = device.create(false).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| late.wait(0, for_submit(), LONG));
            late.signal(0).unwrap();
            waiter.join().unwrap().unwrap();
        });
    });
}

#[test]
fn of_many_any_or_all_are_waited_for() {
    let device = device();
    let timeline = SwSyncTimeline::new();
    let syncobjs: Vec<Syncobj> = (1..=3)
        .map(|value| {
            let syncobj = device.create(false).unwrap();
            syncobj
                .import_sync_file(0, &sync_file(&timeline, value))
                .unwrap();
            syncobj
        })
        .collect();
    let points: Vec<_> = syncobjs.iter().rev().map(|syncobj| (syncobj, 0)).collect();
    let all = SyncobjWait {
        all: true,
        ..wait()
    };
    let waited = |what| Syncobj::wait_many(&points, what, SOON);
    assert!(matches!(waited(wait()), Err(SyncobjError::Timeout)));
    timeline.increment(1);
    assert_eq!(
        waited(wait()).unwrap(),
        2,
        "the first fence is the last of the list"
    );
    assert!(matches!(waited(all), Err(SyncobjError::Timeout)));
    timeline.increment(2);
    waited(all).unwrap();
    assert!(matches!(
        Syncobj::wait_many(&[], wait(), SOON),
        Err(SyncobjError::NoFence)
    ));
    // One without a fence spoils both, unless that is waited for.
    let empty = device.create(false).unwrap();
    let with_empty = [points[0], (&empty, 0)];
    assert!(matches!(
        Syncobj::wait_many(&with_empty, all, SOON),
        Err(SyncobjError::NoFence)
    ));
    assert_eq!(
        Syncobj::wait_many(&with_empty, for_submit(), SOON).unwrap(),
        0
    );
    let other = SyncobjDevice::of_driver("vgem")
        .unwrap()
        .create(true)
        .unwrap();
    assert!(matches!(
        Syncobj::wait_many(&[points[0], (&other, 0)], wait(), SOON),
        Err(SyncobjError::OtherDevice)
    ));
    assert!(matches!(
        other.transfer(0, &empty, 1),
        Err(SyncobjError::OtherDevice)
    ));
}

#[test]
fn the_points_of_a_timeline_signal_in_order() {
    let device = device();
    let syncobj = device.create(false).unwrap();
    let (first, second) = (SwSyncTimeline::new(), SwSyncTimeline::new());
    syncobj.import_sync_file(3, &sync_file(&first, 1)).unwrap();
    syncobj.import_sync_file(7, &sync_file(&second, 1)).unwrap();
    let reached = || (syncobj.signalled().unwrap(), syncobj.submitted().unwrap());
    assert_eq!(reached(), (0, 7));
    let files = [1, 3, 4, 7].map(|point| syncobj.export_sync_file(point).unwrap());
    assert!(files.iter().all(pending));
    assert!(matches!(
        syncobj.export_sync_file(8),
        Err(SyncobjError::NoFence)
    ));
    // The later one alone does not make the timeline reach it.
    second.increment(1);
    assert_eq!(reached(), (0, 7));
    assert!(matches!(
        syncobj.wait(7, wait(), SOON),
        Err(SyncobjError::Timeout)
    ));
    assert!(
        files.iter().all(pending),
        "point 7 is that of everything before it"
    );
    first.increment(1);
    assert_eq!(reached(), (7, 7));
    assert!(!files.iter().any(pending));
    syncobj.signal(9).unwrap();
    assert_eq!(reached(), (9, 9));
    // A point of one is a point of another.
    let other = device.create(false).unwrap();
    syncobj.transfer(9, &other, 2).unwrap();
    assert_eq!(other.signalled().unwrap(), 2);
    assert!(matches!(
        syncobj.transfer(10, &other, 3),
        Err(SyncobjError::NoFence)
    ));
}

#[test]
fn two_processes_share_it_by_its_descriptor() {
    let ours = device().create(false).unwrap();
    // Another open file has handles of its own.
    let theirs = device().import(ours.export().unwrap().as_fd()).unwrap();
    let timeline = SwSyncTimeline::new();
    ours.import_sync_file(1, &sync_file(&timeline, 1)).unwrap();
    assert_eq!(theirs.submitted().unwrap(), 1);
    drop(ours);
    timeline.increment(1);
    theirs.wait(1, wait(), LONG).unwrap();
    for wrong in [nix::unistd::pipe().unwrap().0, timeline.fence(9)] {
        let imported = device().import(wrong.as_fd());
        assert!(
            matches!(imported, Err(SyncobjError::NotSyncobj)),
            "{imported:?}"
        );
    }
}

fn eventfd() -> EventFd {
    EventFd::from_flags(EfdFlags::EFD_NONBLOCK).unwrap()
}

/// The kernel writes it in a work of its own, some time after the signal.
fn becomes_readable(eventfd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(eventfd.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::from(5000_u16)).unwrap() > 0
}

#[test]
fn an_eventfd_is_written_once() {
    let syncobj = device().create(false).unwrap();
    let (signalled, submitted, after) = (eventfd(), eventfd(), eventfd());
    syncobj.notify(5, false, signalled.as_fd()).unwrap();
    syncobj.notify(5, true, submitted.as_fd()).unwrap();
    assert_eq!(submitted.read(), Err(Errno::EAGAIN));
    let timeline = SwSyncTimeline::new();
    syncobj
        .import_sync_file(5, &sync_file(&timeline, 1))
        .unwrap();
    assert!(becomes_readable(&submitted));
    assert_eq!(submitted.read(), Ok(1));
    assert_eq!(signalled.read(), Err(Errno::EAGAIN));
    timeline.increment(1);
    assert!(becomes_readable(&signalled));
    assert_eq!(signalled.read(), Ok(1));
    syncobj.notify(5, false, after.as_fd()).unwrap();
    assert!(becomes_readable(&after));
    assert_eq!(after.read(), Ok(1));
    syncobj.signal(6).unwrap();
    for eventfd in [&signalled, &submitted, &after] {
        assert_eq!(eventfd.read(), Err(Errno::EAGAIN), "once");
    }
    let pipe = nix::unistd::pipe().unwrap().0;
    match syncobj.notify(1, false, pipe.as_fd()) {
        Err(SyncobjError::Device(error)) => {
            assert_eq!(error.source.raw_os_error(), Some(Errno::EINVAL as i32));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_timelines_points_are_fences() {
    within_time_limit(|| {
        let timeline = device().timeline("client 7").unwrap();
        let (first, second) = (timeline.fence(1), timeline.fence(2));
        assert_eq!(
            (first.status(), first.producer()),
            (FenceStatus::Pending, "client 7")
        );
        assert!(second.supersedes(&first));
        // No sync_file before there is work; but an event loop can wait for it.
        assert!(matches!(
            first.export_sync_file(),
            Err(FenceError::NoSyncFile { producer }) if producer == "client 7"
        ));
        let polled = first.pollable().unwrap();
        let is_readable = || {
            let mut fds = [PollFd::new(polled.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::ZERO).unwrap() > 0
        };
        assert!(matches!(first.wait(SOON), Err(FenceError::Timeout { .. })));
        let work = SwSyncTimeline::new();
        timeline.import(1, &sync_file(&work, 1).into()).unwrap();
        let file = first.export_sync_file().unwrap();
        assert!(pending(&file) && !is_readable());
        work.increment(1);
        first.wait(LONG).unwrap();
        assert!(becomes_readable(&polled) && !pending(&file));
        assert_eq!(first.status(), FenceStatus::Signalled);
        assert_eq!(second.status(), FenceStatus::Pending);
        timeline.syncobj().signal(2).unwrap();
        assert_eq!(second.status(), FenceStatus::Signalled);
    });
}

#[test]
fn a_timeline_takes_fences_of_every_kind_that_has_a_sync_file() {
    let device = device();
    let (from, to) = (
        device.timeline("from").unwrap(),
        device.timeline("to").unwrap(),
    );
    let work = SwSyncTimeline::new();
    from.import(1, &sync_file(&work, 1).into()).unwrap();
    to.import(4, &from.fence(1)).unwrap();
    assert_eq!(to.fence(4).status(), FenceStatus::Pending);
    work.increment(1);
    assert_eq!(to.fence(4).status(), FenceStatus::Signalled);
    let software = SoftwareTimeline::new("worker");
    assert!(matches!(
        to.import(5, &software.fence(1)),
        Err(SyncobjError::Fence(FenceError::NoSyncFile { .. }))
    ));
    software.signal(1);
    to.import(5, &software.fence(1)).unwrap();
    assert_eq!(to.syncobj().signalled().unwrap(), 5);
}

/// A client that dies before it submits its work leaves a point that nobody signals.
#[test]
fn a_point_that_nobody_signals_ends_with_its_deadline() {
    within_time_limit(|| {
        let theirs: SyncobjTimeline = device().timeline("theirs").unwrap();
        let fd = theirs.syncobj().export().unwrap();
        let ours = SyncobjTimeline::new(device().import(fd.as_fd()).unwrap(), "client 7");
        drop((theirs, fd));
        let fence: Fence = ours.fence(1).with_deadline(SOON);
        match fence.wait(LONG) {
            Err(FenceError::Expired { producer }) => assert_eq!(producer, "client 7"),
            other => panic!("{other:?}"),
        }
        assert_eq!(fence.status(), FenceStatus::Failed(Errno::ETIMEDOUT));
    });
}

#[test]
fn a_driver_without_them_is_refused() {
    let display = VkmsDisplay::new();
    let card = Card::inspect(display.node()).unwrap();
    assert!(matches!(
        card.syncobjs(),
        Err(SyncobjError::Unsupported { device }) if device.starts_with("vkms")
    ));
    assert!(matches!(
        SyncobjDevice::of_driver("no such driver"),
        Err(SyncobjError::Open(_))
    ));
}
