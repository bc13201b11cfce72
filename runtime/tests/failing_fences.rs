//! Fences between the library and the kernel while each of the kernel's allocations fails in turn.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::cell::RefCell;

use dmashare::{
    Access, AttachError, Fence, FenceStatus, Modifier, SharedBuffer, Submission, SyncFile, SyncMode,
};
use dmashare_lab_probe::{SwSyncTimeline, for_each_failing_allocation, open_files};
use support::device::Device;

fn sync_file(timeline: &SwSyncTimeline, value: u32) -> SyncFile {
    SyncFile::new(timeline.fence(value)).unwrap()
}

/// The tests of this file compare what the whole process has open, so they are one test.
#[test]
fn i13_what_fails_says_so_and_leaves_nothing() {
    sync_files();
    exporting();
    using();
}

fn sync_files() {
    let timeline = SwSyncTimeline::new();
    let files = [1, 2, 3].map(|value| {
        let own = SwSyncTimeline::new();
        sync_file(&own, value)
            .merge(&sync_file(&timeline, value))
            .unwrap()
    });
    let before = open_files().len();
    let mut refused = 0;
    let mut count = |result: bool, nth| {
        refused += u32::from(!result);
        assert_eq!(open_files().len(), before, "{nth}");
    };
    let merged = for_each_failing_allocation(
        || SyncFile::merge_all(&files).map(drop),
        |nth, result| count(result.is_ok(), nth),
    );
    let told = for_each_failing_allocation(
        || files[0].info().map(drop),
        |nth, result| count(result.is_ok(), nth),
    );
    let polled = for_each_failing_allocation(
        || {
            Fence::from(files[0].try_clone().unwrap())
                .pollable()
                .map(drop)
        },
        |nth, result| count(result.is_ok(), nth),
    );
    assert!(merged > 5 && told > 1, "{merged} {told} {polled}");
    assert!(refused > 5, "{refused}");
}

fn exporting() {
    let buffer = SharedBuffer::new(
        &support::heap(),
        support::desc("exported"),
        &[Modifier::LINEAR],
    )
    .unwrap();
    let timeline = SwSyncTimeline::new();
    buffer
        .add_fence(Access::Write, sync_file(&timeline, 1).into())
        .unwrap();
    let before = open_files().len();
    let (mut refused, mut exported) = (0, 0);
    for_each_failing_allocation(
        || buffer.export("client"),
        |nth, result| {
            match &result {
                Ok(guard) => {
                    exported += 1;
                    // Not half: what was pending is there.
                    let seen = guard.dmabuf().fences(Access::Read).unwrap();
                    assert_eq!(seen.status(), FenceStatus::Pending, "{nth}");
                }
                Err(AttachError::ImplicitSync { .. } | AttachError::Export { .. }) => refused += 1,
                Err(error) => panic!("{nth}: {error:?}"),
            }
            drop(result);
            assert_eq!((buffer.pins(), buffer.attachments()), (0, vec![]), "{nth}");
            assert_eq!(open_files().len(), before, "{nth}");
        },
    );
    assert!(refused > 1 && exported > 0, "{refused} refused");
    // And nobody is taken for a foreign holder for ever.
    let mapping = buffer
        .attach(&Device::anywhere("gpu"))
        .unwrap()
        .map()
        .unwrap();
    assert!(!mapping.has_foreign_holders());
    timeline.increment(1);
}

/// A use that cannot ask is refused; one that was committed and cannot tell is owed, and told later.
fn using() {
    let buffer =
        SharedBuffer::new(&support::heap(), support::desc("used"), &[Modifier::LINEAR]).unwrap();
    let attachment = buffer.attach(&Device::anywhere("gpu")).unwrap();
    attachment.set_sync_mode(SyncMode::Implicit).unwrap();
    let mapping = attachment.map().unwrap();
    let memory = buffer.backing().dmabuf().memories()[0].clone();
    let (outside, ours) = (SwSyncTimeline::new(), SwSyncTimeline::new());
    memory
        .import_sync_file(&sync_file(&outside, 1), Access::Read)
        .unwrap();
    let files = open_files().len();
    let (mut refused, mut owed) = (0, 0);
    let next = RefCell::new((1, Fence::from(sync_file(&ours, 1))));
    for_each_failing_allocation(
        || {
            let begun = Submission::begin([mapping.write()])?;
            begun.commit(&next.borrow().1);
            Ok::<_, dmashare::SubmitError>(())
        },
        |nth, result| {
            let is_seen = || {
                let file = memory.export_sync_file(Access::Read).unwrap();
                file.status().unwrap() == FenceStatus::Pending
            };
            match result {
                Ok(()) => {
                    owed += u32::from(!is_seen());
                    buffer.publish_fences().unwrap();
                    assert!(is_seen(), "{nth}");
                }
                Err(dmashare::SubmitError::ImplicitSync(_)) => {
                    refused += 1;
                    assert!(!is_seen(), "{nth}");
                    assert!(buffer.ready(Access::Write).is_empty(), "{nth}");
                }
                Err(error) => panic!("{nth}: {error:?}"),
            }
            ours.increment(1);
            assert!(!is_seen(), "{nth}");
            let value = next.borrow().0 + 1;
            next.replace((value, sync_file(&ours, value).into()));
            drop(buffer.reservation().fences(dmashare::FenceUsage::Bookkeep));
            assert_eq!(open_files().len(), files + 1, "{nth}");
        },
    );
    assert!(refused > 0 && owed > 0, "{refused} refused, {owed} owed");
    outside.increment(1);
}
