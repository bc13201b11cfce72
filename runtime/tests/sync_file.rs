//! `SyncFile` on the kernel's own fences.
#![allow(missing_docs, clippy::unwrap_used)]

use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

use dmashare::{FenceError, FenceStatus, SyncFile, SyncFileError};
use dmashare_lab_probe::SwSyncTimeline;
use nix::errno::Errno;

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
