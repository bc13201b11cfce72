//! Code of users that panics or calls the library back from where it is called: nothing hangs, and the
//! buffers stay usable.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use dmashare::{
    Access, DynamicAttachment, Fence, FenceError, FenceStatus, InvalidationContext, Mapping,
    MappingUse, Placements, RuntimeReport, SharedBuffer, SoftwareTimeline, Submission, SyncFile,
    Timeline,
};
use dmashare_lab_probe::within_time_limit;
use support::device::{Calls, Device};
use support::fake_exporter::Step;
use support::{attached, movable, to};

/// Moves the buffer there and back, and uses it: nothing of it is stuck.
#[track_caller]
fn assert_usable(buffer: &SharedBuffer) {
    let attachment = buffer.attach_dynamic(&Device::anywhere("later"), Calls::default());
    let attachment = attachment.unwrap();
    let done = SoftwareTimeline::new("later");
    done.signal(9);
    for placements in [Placements::SHMEM, Placements::HOST] {
        buffer.move_to(&to(placements)).unwrap();
        buffer
            .wait_ready(Access::Write, Duration::from_secs(5))
            .unwrap();
        let mapping = attachment.map().unwrap();
        let submission = Submission::begin([mapping.write()]).unwrap();
        submission.commit(&done.fence(1));
    }
}

/// Whose attachment each callback drops.
type Slot = Arc<Mutex<Option<DynamicAttachment<Device>>>>;

#[test]
fn callbacks_that_drop_each_others_attachments_end() {
    within_time_limit(|| {
        let (first, _) = movable("first");
        let (second, _) = movable("second");
        let slots: [Slot; 2] = Default::default();
        let both_run = Arc::new(Barrier::new(2));
        for (buffer, own, other) in [(&first, 0, 1), (&second, 1, 0)] {
            let (both_run, other) = (both_run.clone(), slots[other].clone());
            let callback = move |_: &InvalidationContext<'_>| {
                both_run.wait();
                drop(other.lock().unwrap().take());
            };
            let attachment = buffer.attach_dynamic(&Device::anywhere("gpu"), callback);
            let attachment = attachment.unwrap();
            drop(attachment.map().unwrap());
            *slots[own].lock().unwrap() = Some(attachment);
        }
        let movers = [first.clone(), second.clone()]
            .map(|buffer| thread::spawn(move || buffer.move_to(&to(Placements::SHMEM)).map(drop)));
        for mover in movers {
            mover.join().unwrap().unwrap();
        }
        for buffer in [&first, &second] {
            assert_eq!(buffer.attachments().len(), 0);
            assert_usable(buffer);
        }
    });
}

#[test]
fn a_visitor_of_waits_may_call_the_library() {
    within_time_limit(|| {
        let (buffer, _) = movable("visited");
        let attachment = attached(&buffer);
        let mapping = attachment.map().unwrap();
        let pending = SoftwareTimeline::new("writer");
        buffer.add_fence(Access::Write, pending.fence(1)).unwrap();
        let submission = Submission::begin([mapping.read()]).unwrap();
        // The last mapping and the attachment go, and their fences are looked for.
        let mut last = Some((attachment, mapping));
        let mut visited = 0;
        let result: Result<(), ()> = submission.visit_waits(|_, _, _| {
            visited += 1;
            assert!(!buffer.report().fences.is_empty());
            assert!(!RuntimeReport::new().buffers.is_empty());
            drop(last.take());
            Ok(())
        });
        assert_eq!((result, visited), (Ok(()), 1));
        drop(submission);
        pending.signal(1);
        assert_usable(&buffer);
    });
}

/// What a timeline does when its status is asked for.
type OnStatus = Box<dyn Fn() + Send + Sync>;

/// A timeline that does something else first, and is pending until it is told to have signalled.
struct Meddler {
    on_status: OnceLock<OnStatus>,
    signalled: AtomicBool,
    asked: AtomicUsize,
}

impl std::fmt::Debug for Meddler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meddler")
    }
}

impl Meddler {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            on_status: OnceLock::new(),
            signalled: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
        })
    }

    fn fence(self: &Arc<Self>) -> Fence {
        Fence::Point {
            timeline: self.clone(),
            point: 1,
        }
    }
}

impl Timeline for Meddler {
    fn producer(&self) -> &str {
        "meddler"
    }

    fn status(&self, _point: u64) -> FenceStatus {
        self.asked.fetch_add(1, SeqCst);
        if let Some(meddle) = self.on_status.get() {
            meddle();
        }
        match self.signalled.load(SeqCst) {
            true => FenceStatus::Signalled,
            false => FenceStatus::Pending,
        }
    }

    fn wait(&self, _point: u64, _timeout: Duration) -> Result<(), FenceError> {
        self.signalled.store(true, SeqCst);
        Ok(())
    }

    fn export_sync_file(&self, _point: u64) -> Result<SyncFile, FenceError> {
        Err(FenceError::NoSyncFile {
            producer: "meddler".into(),
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Everything that asks fences for their status.
fn use_everything(buffer: &SharedBuffer, mapping: &Mapping<Device>, uses: &[MappingUse]) {
    let done = SoftwareTimeline::new("done");
    done.signal(9);
    drop(buffer.ready(Access::Write));
    drop(buffer.report());
    drop(buffer.reservation().fences(dmashare::FenceUsage::Bookkeep));
    buffer.add_fence(Access::Read, done.fence(1)).unwrap();
    for used in uses {
        let submission = Submission::begin([used.clone()]).unwrap();
        submission
            .visit_waits(|fence, _, _| {
                let _ = fence.status();
                Ok::<_, ()>(())
            })
            .unwrap();
        submission.commit(&done.fence(2));
    }
    drop(mapping.clone());
}

#[test]
fn the_status_of_a_fence_may_call_the_library() {
    within_time_limit(|| {
        let (buffer, _) = movable("asked");
        let attachment = attached(&buffer);
        let mapping = attachment.map().unwrap();
        let meddler = Meddler::new();
        let running = AtomicBool::new(false);
        let meddle = {
            let (buffer, mapping) = (buffer.clone(), mapping.clone());
            move || {
                // It asks itself again.
                if !running.swap(true, SeqCst) {
                    drop((buffer.report(), RuntimeReport::new(), buffer.backing()));
                    drop(buffer.ready(Access::Write));
                    drop(buffer.add_fence(Access::Read, SoftwareTimeline::new("gone").fence(1)));
                    drop((mapping.clone(), buffer.move_to(&to(Placements::HOST))));
                    running.store(false, SeqCst);
                }
            }
        };
        assert!(meddler.on_status.set(Box::new(meddle)).is_ok());
        buffer.add_fence(Access::Write, meddler.fence()).unwrap();
        use_everything(&buffer, &mapping, &[mapping.read(), mapping.write()]);
        let moved = buffer.move_to(&to(Placements::SHMEM)).unwrap();
        moved.wait(Duration::from_secs(5)).unwrap();
        assert!(meddler.asked.load(SeqCst) > 5);
    });
}

#[test]
fn a_fence_whose_status_panics_has_failed() {
    within_time_limit(|| {
        let (buffer, _) = movable("panicking fence");
        let attachment = attached(&buffer);
        let mapping = attachment.map().unwrap();
        let meddler = Meddler::new();
        let panics: OnStatus = Box::new(|| panic!("by intention"));
        assert!(meddler.on_status.set(panics).is_ok());
        let fence = meddler.fence();
        assert!(matches!(fence.status(), FenceStatus::Failed(_)));
        buffer.add_fence(Access::Write, fence).unwrap();
        use_everything(&buffer, &mapping, &[mapping.read(), mapping.write()]);
        buffer.add_fence(Access::Write, meddler.fence()).unwrap();
        assert_usable(&buffer);
    });
}

/// What panics when it is dropped.
struct Bomb(Arc<AtomicUsize>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
        panic!("dropped");
    }
}

#[test]
fn a_callbacks_panic_whose_payload_panics_leaves_the_buffer_usable() {
    within_time_limit(|| {
        let (buffer, _) = movable("bomb");
        let dropped = Arc::new(AtomicUsize::new(0));
        let callback = {
            let dropped = dropped.clone();
            move |_: &InvalidationContext<'_>| panic_any(Bomb(dropped.clone()))
        };
        let attachment = buffer.attach_dynamic(&Device::anywhere("gpu"), callback);
        let attachment = attachment.unwrap();
        drop(attachment.map().unwrap());
        buffer.move_to(&to(Placements::SHMEM)).unwrap();
        assert_eq!(dropped.load(SeqCst), 1);
        assert!(attachment.map().is_err(), "its importer is dead");
        assert_usable(&buffer);
    });
}

#[test]
fn a_copy_that_panics_is_undone() {
    within_time_limit(|| {
        let (buffer, exporter) = movable("panicking copy");
        let attachment = attached(&buffer);
        drop(attachment.map().unwrap());
        exporter.panic_in(Step::Copy);
        let moved = catch_unwind(AssertUnwindSafe(|| buffer.move_to(&to(Placements::SHMEM))));
        assert!(moved.is_err(), "the panic goes on to the caller: {moved:?}");
        assert_eq!(buffer.backing().placement(), dmashare::Placement::Host);
        attachment.map().unwrap();
        drop(attachment);
        assert_usable(&buffer);
        exporter.assert_no_faults();
    });
}

#[test]
fn an_importer_that_panics_when_it_takes_its_object_back_has_let_go() {
    within_time_limit(|| {
        let (buffer, exporter) = movable("panicking importer");
        let device = Device::anywhere("gpu");
        let attachment = buffer.attach_dynamic(&device, Calls::default()).unwrap();
        let mapping = attachment.map().unwrap();
        device.panic_in_retire();
        attachment.unmap();
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(mapping)));
        assert!(dropped.is_err(), "the panic goes on to the caller");
        assert_eq!(buffer.backing().maps(), 0);
        drop(attachment);
        assert_usable(&buffer);
        exporter.assert_no_faults();
    });
}

#[test]
fn a_submission_that_was_forgotten_ends_with_its_thread() {
    within_time_limit(|| {
        let (first, _) = movable("forgotten first");
        let (second, _) = movable("forgotten second");
        let (to_first, to_second) = (attached(&first), attached(&second));
        let mappings = [to_first.map().unwrap(), to_second.map().unwrap()];
        let uses = [mappings[0].write(), mappings[1].write()];
        // Another thread waits already when the forgetful one ends.
        let ends = Arc::new(Barrier::new(2));
        let forgetful = thread::spawn({
            let ends = ends.clone();
            move || {
                std::mem::forget(Submission::begin(uses).unwrap());
                ends.wait();
                thread::sleep(Duration::from_millis(50));
            }
        });
        ends.wait();
        drop(mappings);
        first.move_to(&to(Placements::SHMEM)).unwrap();
        forgetful.join().unwrap();
        let both = [
            to_first.map().unwrap().read(),
            to_second.map().unwrap().read(),
        ];
        drop(Submission::begin(both).unwrap());
        assert_usable(&second);
    });
}
