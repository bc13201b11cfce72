//! Fences that fail, and fences from outside, in a buffer's reservation.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use dmashare::{
    Access, FenceStatus, FenceUsage, SharedBuffer, SoftwareTimeline, StaticAttachment, Submission,
    SubmitError,
};
use support::{Recorder, buffer};

fn attached(name: &str) -> (SharedBuffer, StaticAttachment<Recorder>, Recorder) {
    let (buffer, importer) = (buffer(name), Recorder::default());
    let attachment = buffer.attach(&importer).unwrap();
    (buffer, attachment, importer)
}

/// A fence whose producer went away without signalling it.
fn failed() -> dmashare::Fence {
    SoftwareTimeline::new("crashed").fence(1)
}

#[test]
fn a_failed_write_is_told_to_readers_until_the_next_write() {
    let (buffer, attachment, _) = attached("failed write");
    let mapping = attachment.map().unwrap();
    Submission::begin([mapping.write()])
        .unwrap()
        .commit(&failed());
    assert!(matches!(
        buffer.ready(Access::Read).status(),
        FenceStatus::Failed(_)
    ));
    let waits = |used| {
        let mut waits = 0;
        let submission = Submission::begin([used]).unwrap();
        submission
            .visit_waits(|_, _, _| {
                waits += 1;
                Ok::<_, ()>(())
            })
            .unwrap();
        waits
    };
    assert_eq!((waits(mapping.read()), waits(mapping.write())), (1, 0));
    // Writing is how the content becomes right again.
    assert!(buffer.ready(Access::Write).is_empty());
    let timeline = SoftwareTimeline::new("gpu");
    Submission::begin([mapping.write()])
        .unwrap()
        .commit(&timeline.fence(1));
    timeline.signal(1);
    assert_eq!(buffer.ready(Access::Read).status(), FenceStatus::Signalled);
}

#[test]
fn failed_reads_hold_nobody_up_and_do_not_pile_up() {
    let (buffer, attachment, _) = attached("failed reads");
    let mapping = attachment.map().unwrap();
    for _ in 0..100 {
        Submission::begin([mapping.read()])
            .unwrap()
            .commit(&failed());
    }
    buffer.wait_ready(Access::Write, Duration::ZERO).unwrap();
    assert!(
        buffer
            .reservation()
            .fences(FenceUsage::Bookkeep)
            .iter()
            .count()
            <= 1
    );
}

#[test]
fn a_fence_from_outside_is_waited_for() {
    let (buffer, attachment, _) = attached("client");
    let client = SoftwareTimeline::new("client");
    buffer.add_fence(Access::Write, client.fence(1)).unwrap();
    assert_eq!(buffer.ready(Access::Read).status(), FenceStatus::Pending);
    client.signal(1);
    assert_eq!(buffer.ready(Access::Read).status(), FenceStatus::Signalled);
    let open = Submission::begin([attachment.map().unwrap().read()]).unwrap();
    assert!(matches!(
        buffer.add_fence(Access::Read, client.fence(2)),
        Err(SubmitError::WouldDeadlock { .. })
    ));
    drop(open);
}

/// A producer whose end takes the buffer's reservation, as an application's destructor may.
#[derive(Debug)]
struct Owner {
    buffer: SharedBuffer,
}

impl dmashare::Timeline for Owner {
    fn producer(&self) -> &str {
        "owner"
    }

    fn status(&self, _point: u64) -> FenceStatus {
        FenceStatus::Signalled
    }

    fn wait(&self, _point: u64, _timeout: Duration) -> Result<(), dmashare::FenceError> {
        Ok(())
    }

    fn export_sync_file(&self, _point: u64) -> Result<dmashare::SyncFile, dmashare::FenceError> {
        Err(dmashare::FenceError::NoSyncFile {
            producer: "owner".into(),
        })
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let fence = SoftwareTimeline::new("last words").fence(0);
        self.buffer.add_fence(Access::Read, fence).unwrap();
    }
}

#[test]
fn i16_a_producers_end_runs_when_nothing_is_locked() {
    let (buffer, attachment, _) = attached("last fence");
    let mapping = attachment.map().unwrap();
    let owner = Owner {
        buffer: buffer.clone(),
    };
    let fence = dmashare::Fence::Point {
        timeline: std::sync::Arc::new(owner),
        point: 1,
    };
    Submission::begin([mapping.write()]).unwrap().commit(&fence);
    drop(fence);
    // The next commit lets go of the owner's last fence, and with it of the owner.
    let timeline = SoftwareTimeline::new("gpu");
    Submission::begin([mapping.write()])
        .unwrap()
        .commit(&timeline.fence(1));
    assert_eq!(buffer.ready(Access::Write).status(), FenceStatus::Pending);
}
