//! Fences that a program makes by itself: points that no work signals, timelines that pass for a queue's,
//! and sync_files that are none. They give errors and never reach a driver.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::any::Any;
use std::io::pipe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dmashare::{
    Access, Fence, FenceError, FenceStatus, Submission, SubmitError, SyncFile, Timeline,
};
use dmashare_lab_probe::within_time_limit;
use dmashare_vk::Device;
use support::{LONG, buffer, device, map};

/// A fence of work that is done.
fn done(device: &Device) -> Fence {
    // SAFETY: no command buffers.
    let fence = unsafe { device.submission([]).unwrap().submit(&[]) }.unwrap();
    fence.wait(LONG).unwrap();
    fence
}

fn timeline_of(fence: &Fence) -> (Arc<dyn Timeline>, u64) {
    match fence {
        Fence::Point { timeline, point } => (timeline.clone(), *point),
        other => panic!("{other:?}"),
    }
}

/// Passes for one timeline after the other, and is never over.
#[derive(Debug)]
struct Impostor {
    posed_as: Vec<Arc<dyn Timeline>>,
    asked: AtomicUsize,
}

impl Timeline for Impostor {
    fn producer(&self) -> &str {
        "impostor"
    }

    fn status(&self, _point: u64) -> FenceStatus {
        FenceStatus::Pending
    }

    fn wait(&self, _point: u64, _timeout: Duration) -> Result<(), FenceError> {
        Err(FenceError::Timeout {
            producer: "impostor".into(),
        })
    }

    /// A pipe.
    fn export_sync_file(&self, _point: u64) -> Result<SyncFile, FenceError> {
        let (reader, _) = pipe().unwrap();
        Ok(SyncFile::from_kernel(reader.into()))
    }

    fn as_any(&self) -> &dyn Any {
        match self.posed_as.len() {
            0 => self,
            all => self.posed_as[self.asked.fetch_add(1, Ordering::Relaxed) % all].as_any(),
        }
    }
}

/// What work on a buffer with this fence answers; the queue goes on afterwards.
fn submit_behind(fence: &Fence, own: &Device) -> SubmitError {
    let shared = buffer(own, "shared");
    let mapping = map(&shared, own);
    shared.add_fence(Access::Write, fence.clone()).unwrap();
    let refused = own.submission([mapping.read()]).map(drop).unwrap_err();
    done(own);
    refused
}

#[test]
fn a_point_that_no_work_signals_is_not_waited_for_by_a_queue() {
    within_time_limit(|| {
        let (own, other) = (device(), device());
        for of in [&own, &other] {
            let (timeline, point) = timeline_of(&done(of));
            let point = point + 1_000_000;
            let forged = Fence::Point { timeline, point };
            let exported = forged.export_sync_file();
            assert!(
                matches!(exported, Err(FenceError::NoSyncFile { .. })),
                "{exported:?}"
            );
            let refused = submit_behind(&forged, &own);
            assert!(
                matches!(refused, SubmitError::NotReady { .. }),
                "{refused:?}"
            );
        }
    });
}

#[test]
fn a_timeline_that_passes_for_a_queues_is_taken_for_what_it_is() {
    within_time_limit(|| {
        let (own, other) = (device(), device());
        let ((first, point), (second, _)) = (timeline_of(&done(&own)), timeline_of(&done(&other)));
        for posed_as in [vec![first.clone()], vec![first, second], Vec::new()] {
            let timeline = Arc::new(Impostor {
                posed_as,
                asked: AtomicUsize::new(0),
            });
            let fence = Fence::Point { timeline, point };
            // It is asked for its sync_file, and the pipe is refused.
            let refused = submit_behind(&fence, &own);
            assert!(
                matches!(refused, SubmitError::Fence(FenceError::SyncFile(_))),
                "{refused:?}"
            );
        }
    });
}

#[test]
fn a_pipe_is_not_imported_as_a_sync_file() {
    within_time_limit(|| {
        let own = device();
        let (reader, _writer) = pipe().unwrap();
        let pipe = Fence::from(SyncFile::from_kernel(reader.into()));
        let refused = submit_behind(&pipe, &own);
        assert!(matches!(refused, SubmitError::Fence(_)), "{refused:?}");
        assert!(matches!(pipe.status(), FenceStatus::Failed(_)));
    });
}

/// Two fences are on one timeline only if they share it: points of another do not replace them.
#[test]
fn a_fence_of_another_timeline_does_not_supersede_one_of_a_queue() {
    let own = device();
    let work = done(&own);
    let (queue, point) = timeline_of(&work);
    let timeline = Arc::new(Impostor {
        posed_as: vec![queue.clone()],
        asked: AtomicUsize::new(0),
    });
    let later = Fence::Point {
        timeline,
        point: point + 1,
    };
    assert!(!later.supersedes(&work) && !work.supersedes(&later));
    let again = Fence::Point {
        timeline: queue,
        point,
    };
    assert!(again.supersedes(&work) && work.supersedes(&again));
    assert!(Submission::may_begin(&[]).is_ok());
}
