//! What an exporter puts off until its memory is used: done before anyone maps or gets descriptors, and
//! waited for by everyone.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use dmashare::host::DmaHeap;
use dmashare::{
    Access, Allocation, AttachError, Backing, BufferDesc, ExportError, Exporter, Fence,
    FenceStatus, MapError, Modifier, SharedBuffer, SoftwareTimeline, Submission,
};
use support::{Recorder, desc, heap};

#[derive(Debug, Default)]
struct Asked {
    times: usize,
    fence: Option<Fence>,
    fails: bool,
}

/// A heap whose buffers are cleared when somebody uses them.
#[derive(Clone, Debug)]
struct ClearsLate {
    heap: DmaHeap,
    asked: Arc<Mutex<Asked>>,
}

impl ClearsLate {
    fn new(fence: Option<Fence>) -> Self {
        let asked = Asked {
            fence,
            ..Asked::default()
        };
        Self {
            heap: heap(),
            asked: Arc::new(Mutex::new(asked)),
        }
    }

    fn buffer(&self) -> SharedBuffer {
        SharedBuffer::new(self, desc("cleared late"), &[Modifier::LINEAR]).unwrap()
    }

    fn times(&self) -> usize {
        self.asked.lock().unwrap().times
    }

    fn set_fails(&self, fails: bool) {
        self.asked.lock().unwrap().fails = fails;
    }
}

impl Exporter for ClearsLate {
    fn name(&self) -> &str {
        "clears late"
    }

    fn modifiers(&self, desc: &BufferDesc) -> Result<Vec<Modifier>, ExportError> {
        self.heap.modifiers(desc)
    }

    fn allocate(
        &self,
        desc: &BufferDesc,
        modifiers: &[Modifier],
    ) -> Result<Allocation, ExportError> {
        self.heap.allocate(desc, modifiers)
    }

    fn prepare(&self, backing: &Backing) -> Result<Option<Fence>, ExportError> {
        let mut asked = self.asked.lock().unwrap();
        assert!(!backing.dmabuf().memories().is_empty());
        asked.times += 1;
        if asked.fails {
            return Err(ExportError::Device {
                exporter: "clears late".into(),
                operation: "clearing",
                source: "told to fail".into(),
            });
        }
        Ok(asked.fence.clone())
    }
}

/// Neither object, nor attachment, nor descriptor is there before the exporter was asked, and it is not
/// asked before.
#[test]
fn the_exporter_is_asked_at_the_first_use_of_each_user() {
    let exporter = ClearsLate::new(None);
    let buffer = exporter.buffer();
    assert_eq!(exporter.times(), 0, "nobody has used it");
    let importer = Recorder::default();
    let dynamic = buffer
        .attach_dynamic(&importer, Arc::new(AtomicBool::new(false)))
        .unwrap();
    assert_eq!(exporter.times(), 0, "attaching touches nothing");
    let mapping = dynamic.map().unwrap();
    assert_eq!(exporter.times(), 1);
    // What is known already costs nothing.
    assert!(dynamic.map().unwrap().is_same(&mapping));
    assert_eq!(exporter.times(), 1);
    let attachment = buffer.attach(&importer).unwrap();
    attachment.map().unwrap();
    assert_eq!(exporter.times(), 2);
    let guard = buffer.export_explicit("a client").unwrap();
    assert_eq!(exporter.times(), 3);
    drop(guard);
}

#[test]
fn i7_everyone_waits_for_what_the_exporter_does_then() {
    let timeline = SoftwareTimeline::new("clear");
    let exporter = ClearsLate::new(Some(timeline.fence(1)));
    let buffer = exporter.buffer();
    assert_eq!(buffer.ready(Access::Write).status(), FenceStatus::Signalled);
    let importer = Recorder::default();
    let mapping = buffer.attach(&importer).unwrap().map().unwrap();
    assert_eq!(buffer.ready(Access::Read).status(), FenceStatus::Pending);
    assert_eq!(buffer.ready(Access::Write).status(), FenceStatus::Pending);
    // The second one does not add it once more.
    let second = buffer.attach(&importer).unwrap();
    let submission = Submission::begin([mapping.read()]).unwrap();
    let mut waits = 0;
    submission
        .visit_waits::<()>(|fence, _, _| {
            assert!(fence.supersedes(&timeline.fence(1)));
            waits += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(waits, 1);
    drop((submission, second));
    timeline.signal(1);
    assert_eq!(buffer.ready(Access::Write).status(), FenceStatus::Signalled);
}

/// A client that gets descriptors finds it in the dma-buf, or is told to wait by the buffer.
#[test]
fn descriptors_leave_with_the_fence() {
    let sw_sync = dmashare_lab_probe::SwSyncTimeline::new();
    let file = dmashare::SyncFile::new(sw_sync.fence(1)).unwrap();
    let exporter = ClearsLate::new(Some(file.into()));
    let buffer = exporter.buffer();
    let guard = buffer.export("a client").unwrap();
    let seen = |access| guard.dmabuf().fences(access).unwrap().status();
    assert_eq!(seen(Access::Read), FenceStatus::Pending);
    sw_sync.increment(1);
    assert_eq!(seen(Access::Read), FenceStatus::Signalled);
}

#[test]
fn a_failure_leaves_everything_as_it_was() {
    let exporter = ClearsLate::new(None);
    let buffer = exporter.buffer();
    let importer = Recorder::default();
    let dynamic = buffer
        .attach_dynamic(&importer, Arc::new(AtomicBool::new(false)))
        .unwrap();
    let before = dmashare_lab_probe::open_files();
    exporter.set_fails(true);
    let error = buffer.attach(&importer).unwrap_err();
    assert!(matches!(error, AttachError::Prepare { .. }), "{error}");
    let error = buffer.export("a client").unwrap_err();
    assert!(matches!(error, AttachError::Prepare { .. }), "{error}");
    let error = dynamic.map().unwrap_err();
    assert!(matches!(error, MapError::Prepare { .. }), "{error}");
    assert_eq!(buffer.attachments().len(), 1, "only the one that was there");
    assert_eq!(buffer.pins(), 0);
    assert!(importer.record.lock().unwrap().imported.is_empty());
    assert_eq!(buffer.backing().maps(), 0);
    assert_eq!(dmashare_lab_probe::open_files(), before);
    exporter.set_fails(false);
    dynamic.map().unwrap();
    drop(buffer.attach(&importer).unwrap());
}

#[test]
fn i16_nobody_is_asked_while_a_reservation_is_held() {
    let exporter = ClearsLate::new(None);
    let (held, buffer) = (exporter.buffer(), exporter.buffer());
    let importer = Recorder::default();
    let mapping = held.attach(&importer).unwrap().map().unwrap();
    let dynamic = buffer
        .attach_dynamic(&importer, Arc::new(AtomicBool::new(false)))
        .unwrap();
    let submission = Submission::begin([mapping.write()]).unwrap();
    let before = exporter.times();
    let error = buffer.attach(&importer).unwrap_err();
    assert!(
        matches!(error, AttachError::WouldDeadlock { .. }),
        "{error}"
    );
    let error = dynamic.map().unwrap_err();
    assert!(matches!(error, MapError::WouldDeadlock { .. }), "{error}");
    assert_eq!(exporter.times(), before);
    drop(submission);
}
