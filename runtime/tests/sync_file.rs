//! `SyncFile` on the kernel's own fences.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use dmashare::{
    Fence, FenceError, FenceSet, FenceStatus, SoftwareTimeline, SyncFile, SyncFileError,
};
use dmashare_lab_probe::{SwSyncTimeline, sw_sync_deadline, within_time_limit};
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use proptest::prelude::*;

#[test]
fn signals_with_its_timeline() {
    let timeline = SwSyncTimeline::new();
    let file = SyncFile::new(timeline.fence(1)).unwrap();
    assert_eq!(file.status().unwrap(), FenceStatus::Pending);
    assert!(matches!(
        file.wait(Duration::from_millis(20)),
        Err(FenceError::Timeout { .. })
    ));
    timeline.increment(1);
    file.wait(Duration::from_secs(5)).unwrap();
    assert_eq!(file.status().unwrap(), FenceStatus::Signalled);
}

#[test]
fn a_merge_waits_for_both() {
    let (first, second) = (SwSyncTimeline::new(), SwSyncTimeline::new());
    let a = SyncFile::new(first.fence(1)).unwrap();
    let b = SyncFile::new(second.fence(1)).unwrap();
    let both = a.merge(&b).unwrap();
    assert_eq!(both.fence_count().unwrap(), 2);
    first.increment(1);
    assert_eq!(both.status().unwrap(), FenceStatus::Pending);
    second.increment(1);
    both.wait(Duration::from_secs(5)).unwrap();
}

#[test]
fn a_producer_that_closes_its_timeline_ends_in_an_error() {
    let timeline = SwSyncTimeline::new();
    let file = SyncFile::new(timeline.fence(1)).unwrap();
    drop(timeline);
    assert!(matches!(
        file.wait(Duration::from_secs(5)),
        Err(FenceError::Failed { .. })
    ));
    assert_eq!(file.status().unwrap(), FenceStatus::Failed(Errno::ENOENT));
}

#[test]
fn what_is_no_sync_file_is_refused() {
    let pipe = nix::unistd::pipe().unwrap();
    assert!(matches!(
        SyncFile::new(pipe.0),
        Err(SyncFileError::NotSyncFile { .. })
    ));
    let memfd =
        nix::sys::memfd::memfd_create(c"no", nix::sys::memfd::MFdFlags::MFD_CLOEXEC).unwrap();
    assert!(matches!(
        SyncFile::new(memfd),
        Err(SyncFileError::NotSyncFile { .. })
    ));
    // SAFETY: deliberately a number that no file is open under, as a careless caller may hand over.
    let closed = unsafe { OwnedFd::from_raw_fd(900) };
    match SyncFile::new(closed) {
        Err(SyncFileError::Os { source, .. }) => assert_eq!(source.raw_os_error(), Some(9)),
        other => panic!("{other:?}"),
    }
    let null = std::fs::File::open("/dev/null").unwrap();
    assert!(matches!(
        SyncFile::new(null.into()),
        Err(SyncFileError::NotSyncFile { .. })
    ));
}

fn file(timeline: &SwSyncTimeline, value: u32) -> SyncFile {
    SyncFile::new(timeline.fence(value)).unwrap()
}

fn now() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .unwrap()
        .into()
}

#[test]
fn its_information_names_each_fence() {
    let (first, second) = (SwSyncTimeline::new(), SwSyncTimeline::new());
    let both = file(&first, 1).merge(&file(&second, 1)).unwrap();
    let info = both.info().unwrap();
    assert_eq!(
        (&*info.name, info.status),
        ("dmashare", FenceStatus::Pending)
    );
    assert_eq!(info.fences.len(), 2);
    for fence in &info.fences {
        assert_eq!(fence.driver, "sw_sync");
        // The program's name: sw_sync gives that to its timelines.
        assert!(!fence.timeline.is_empty());
        assert_eq!(
            (fence.status, fence.timestamp),
            (FenceStatus::Pending, None)
        );
    }
    let before = now();
    first.increment(1);
    let info = both.info().unwrap();
    assert_eq!(info.status, FenceStatus::Pending);
    let stamps: Vec<_> = info
        .fences
        .iter()
        .filter_map(|fence| fence.timestamp)
        .collect();
    let [stamp] = stamps[..] else {
        panic!("{info:?}");
    };
    assert!((before..=now()).contains(&stamp), "{before:?} {stamp:?}");
    drop(second);
    let info = both.info().unwrap();
    assert_eq!(info.status, FenceStatus::Failed(Errno::ENOENT));
    let statuses = info.fences.iter().map(|fence| fence.status);
    assert_eq!(
        statuses
            .filter(|status| *status == FenceStatus::Signalled)
            .count(),
        1
    );
}

#[test]
fn a_merge_of_many_waits_for_all() {
    assert!(SyncFile::merge_all([]).unwrap().is_none());
    let timelines: Vec<_> = (0..9).map(|_| SwSyncTimeline::new()).collect();
    let files: Vec<_> = timelines.iter().map(|timeline| file(timeline, 1)).collect();
    let one = SyncFile::merge_all(&files[..1]).unwrap().unwrap();
    let all = SyncFile::merge_all(&files).unwrap().unwrap();
    assert_eq!(all.fence_count().unwrap(), 9);
    for timeline in &timelines {
        assert_eq!(all.status().unwrap(), FenceStatus::Pending);
        timeline.increment(1);
    }
    all.wait(Duration::from_secs(5)).unwrap();
    one.wait(Duration::ZERO).unwrap();
    // Of one timeline the later fence stands for both.
    let last = &timelines[8];
    let merged = file(last, 2).merge(&file(last, 3)).unwrap();
    assert_eq!(merged.fence_count().unwrap(), 1);
    last.increment(1);
    assert_eq!(merged.status().unwrap(), FenceStatus::Pending);
    last.increment(1);
    merged.wait(Duration::ZERO).unwrap();
}

#[test]
fn a_merge_of_what_is_over_is_over() {
    let timeline = SwSyncTimeline::new();
    let (first, second) = (file(&timeline, 1), file(&timeline, 2));
    timeline.increment(1);
    let merged = first.merge(&second).unwrap();
    assert_eq!(merged.status().unwrap(), FenceStatus::Pending);
    timeline.increment(1);
    let both_over = first.merge(&second).unwrap();
    assert_eq!(both_over.status().unwrap(), FenceStatus::Signalled);
    assert_eq!(merged.status().unwrap(), FenceStatus::Signalled);
    let pipe = nix::unistd::pipe().unwrap().0;
    assert!(matches!(
        first.merge(&SyncFile::from_kernel(pipe)),
        Err(SyncFileError::Os { source, .. }) if source.raw_os_error() == Some(Errno::ENOENT as i32)
    ));
}

#[test]
fn a_wish_for_a_deadline_reaches_the_driver() {
    let timeline = SwSyncTimeline::new();
    let file = file(&timeline, 1);
    assert_eq!(sw_sync_deadline(&timeline, file.as_fd()), None);
    let earliest = now() + Duration::from_millis(16);
    file.set_deadline(Duration::from_millis(16)).unwrap();
    let deadline = sw_sync_deadline(&timeline, file.as_fd()).unwrap();
    assert!((earliest..=now() + Duration::from_millis(16)).contains(&deadline));
    // It is a wish.
    assert_eq!(file.status().unwrap(), FenceStatus::Pending);
}

#[test]
fn a_set_becomes_one_sync_file() {
    let (first, second) = (SwSyncTimeline::new(), SwSyncTimeline::new());
    let set = |fences: &[Fence]| fences.iter().cloned().collect::<FenceSet>();
    assert!(FenceSet::new().export_sync_file().unwrap().is_none());
    let fences = [file(&first, 1).into(), file(&second, 1).into()];
    let both = set(&fences).export_sync_file().unwrap().unwrap();
    assert_eq!(both.fence_count().unwrap(), 2);
    first.increment(1);
    let one = set(&fences).export_sync_file().unwrap().unwrap();
    assert_eq!(one.fence_count().unwrap(), 1);
    second.increment(1);
    both.wait(Duration::ZERO).unwrap();
    assert!(set(&fences).export_sync_file().unwrap().is_none());
    let software = SoftwareTimeline::new("worker");
    assert!(matches!(
        set(&[software.fence(1)]).export_sync_file(),
        Err(FenceError::NoSyncFile { producer }) if producer == "worker"
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A merge of anything, in any order, is over exactly when all that went in is.
    #[test]
    fn a_random_merge_is_over_when_all_its_fences_are(
        fences in prop::collection::vec((0_usize..4, 1_u32..5), 1..20),
        steps in prop::collection::vec(0_usize..4, 0..16),
    ) {
        let timelines = [(); 4].map(|()| SwSyncTimeline::new());
        let files: Vec<_> = fences
            .iter()
            .map(|(timeline, value)| file(&timelines[*timeline], *value))
            .collect();
        let merged = SyncFile::merge_all(&files).unwrap().unwrap();
        let mut last = [0_u32; 4];
        for (timeline, value) in &fences {
            last[*timeline] = last[*timeline].max(*value);
        }
        // Of each timeline only the last is kept.
        let kept = last.iter().filter(|value| **value > 0).count();
        prop_assert_eq!(usize::try_from(merged.fence_count().unwrap()).unwrap(), kept);
        let mut values = [0_u32; 4];
        for step in steps {
            timelines[step].increment(1);
            values[step] += 1;
            let over = (0..4).all(|timeline| values[timeline] >= last[timeline]);
            prop_assert_eq!(merged.status().unwrap().is_over(), over);
        }
    }
}

/// A fence that another process signals, sent over a socket; that process is this test once more.
#[test]
fn a_fence_of_another_process_comes_over_a_socket() {
    const CHILD: &str = "DMASHARE_TEST_FENCE_SENDER";
    if std::env::var_os(CHILD).is_some() {
        let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
        let timeline = SwSyncTimeline::new();
        for point in 1..=2 {
            let fence = timeline.fence(point);
            let fds = [fence.as_raw_fd()];
            let message = [ControlMessage::ScmRights(&fds)];
            let bytes = [IoSlice::new(b"f")];
            sendmsg::<()>(
                socket.as_raw_fd(),
                &bytes,
                &message,
                MsgFlags::empty(),
                None,
            )
            .unwrap();
            // The next one is sent when the other side says so; this one is signalled then.
            let mut word = [0];
            (&socket).read_exact(&mut word).unwrap();
            timeline.increment(1);
        }
        (&socket).read_exact(&mut [0]).unwrap_err();
        return;
    }
    within_time_limit(|| {
        let (here, there) = UnixStream::pair().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "a_fence_of_another_process_comes_over_a_socket",
            ])
            .env(CHILD, "1")
            .stdin(Stdio::from(OwnedFd::from(there)))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let receive = || {
            let mut word = [0];
            let mut words = [IoSliceMut::new(&mut word)];
            let mut space = nix::cmsg_space!([RawFd; 1]);
            let message = recvmsg::<()>(
                here.as_raw_fd(),
                &mut words,
                Some(&mut space),
                MsgFlags::MSG_CMSG_CLOEXEC,
            );
            let message = message.unwrap();
            let Some(ControlMessageOwned::ScmRights(fds)) = message.cmsgs().unwrap().next() else {
                panic!("no descriptor came along");
            };
            // SAFETY: the kernel has just made this descriptor for us, and nobody else has it.
            SyncFile::new(unsafe { OwnedFd::from_raw_fd(fds[0]) }).unwrap()
        };
        let first = receive();
        assert_eq!(first.status().unwrap(), FenceStatus::Pending);
        (&here).write_all(b"s").unwrap();
        first.wait(Duration::from_secs(10)).unwrap();
        // A fence that is merged with one of this process waits for both.
        let second = receive();
        let own = SwSyncTimeline::new();
        let both = second.merge(&file(&own, 1)).unwrap();
        own.increment(1);
        assert_eq!(both.status().unwrap(), FenceStatus::Pending);
        (&here).write_all(b"s").unwrap();
        both.wait(Duration::from_secs(10)).unwrap();
        assert_eq!(second.status().unwrap(), FenceStatus::Signalled);
        drop(here);
        assert!(child.wait().unwrap().success());
    });
}

/// Many who wait for points of one timeline: nobody goes on before the point is reached, and everyone does
/// then.
#[test]
fn many_consumers_wait_for_one_producer() {
    const POINTS: u32 = 24;
    within_time_limit(|| {
        let timeline = SwSyncTimeline::new();
        let reached = AtomicU32::new(0);
        thread::scope(|scope| {
            for point in 1..=POINTS {
                for _ in 0..2 {
                    let fence = file(&timeline, point);
                    let reached = &reached;
                    scope.spawn(move || {
                        fence.wait(Duration::from_secs(20)).unwrap();
                        assert!(
                            reached.load(Ordering::SeqCst) >= point,
                            "{point} came early"
                        );
                    });
                }
            }
            for point in 1..=POINTS {
                // Before the signal: whoever is woken must find it.
                reached.store(point, Ordering::SeqCst);
                timeline.increment(1);
            }
        });
    });
}

/// Many producers, each with a timeline of its own, and one who waits for a round of all of them.
#[test]
fn one_consumer_waits_for_many_producers() {
    const PRODUCERS: usize = 8;
    const ROUNDS: u32 = 12;
    within_time_limit(|| {
        let timelines: Vec<_> = (0..PRODUCERS).map(|_| SwSyncTimeline::new()).collect();
        let produced = AtomicU32::new(0);
        let barrier = Barrier::new(PRODUCERS + 1);
        thread::scope(|scope| {
            for timeline in &timelines {
                let (produced, barrier) = (&produced, &barrier);
                scope.spawn(move || {
                    for _ in 0..ROUNDS {
                        barrier.wait();
                        produced.fetch_add(1, Ordering::SeqCst);
                        timeline.increment(1);
                    }
                });
            }
            for round in 1..=ROUNDS {
                let fences: Vec<_> = timelines.iter().map(|it| file(it, round)).collect();
                let all = SyncFile::merge_all(fences.iter()).unwrap().unwrap();
                assert_eq!(all.status().unwrap(), FenceStatus::Pending);
                barrier.wait();
                all.wait(Duration::from_secs(20)).unwrap();
                let expected = round * u32::try_from(PRODUCERS).unwrap();
                assert!(produced.load(Ordering::SeqCst) >= expected, "round {round}");
            }
        });
    });
}
