//! `Submission`, `Reservation`, attachments and mappings, over real dma-bufs and an importer that
//! records what it is asked.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use dmashare::{
    Access, AttachError, FenceStatus, FenceUsage, SharedBuffer, SoftwareTimeline, StaticAttachment,
    Submission, SubmitError,
};
use support::{Recorder, buffer};

fn attached(name: &str) -> (SharedBuffer, StaticAttachment<Recorder>, Recorder) {
    let (buffer, importer) = (buffer(name), Recorder::default());
    let attachment = buffer.attach(&importer).unwrap();
    (buffer, attachment, importer)
}

#[test]
fn a_committed_write_is_waited_for_by_everyone() {
    let (buffer, attachment, _) = attached("write");
    let timeline = SoftwareTimeline::new("gpu");
    let mapping = attachment.map().unwrap();
    Submission::begin([mapping.write()])
        .unwrap()
        .commit(&timeline.fence(1));
    assert_eq!(buffer.ready(Access::Read).status(), FenceStatus::Pending);
    assert_eq!(buffer.ready(Access::Write).status(), FenceStatus::Pending);
    timeline.signal(1);
    buffer.wait_ready(Access::Write, Duration::ZERO).unwrap();
}

#[test]
fn i8_a_committed_read_is_waited_for_by_writers_only() {
    let (buffer, attachment, _) = attached("read");
    let timeline = SoftwareTimeline::new("gpu");
    let mapping = attachment.map().unwrap();
    Submission::begin([mapping.read()])
        .unwrap()
        .commit(&timeline.fence(1));
    assert!(buffer.ready(Access::Read).is_empty());
    assert_eq!(buffer.ready(Access::Write).status(), FenceStatus::Pending);
    // A read that comes after a write on the same timeline must not hide the write from readers.
    Submission::begin([mapping.write()])
        .unwrap()
        .commit(&timeline.fence(2));
    Submission::begin([mapping.read()])
        .unwrap()
        .commit(&timeline.fence(3));
    assert_eq!(buffer.ready(Access::Read).status(), FenceStatus::Pending);
    timeline.signal(2);
    assert!(buffer.ready(Access::Read).is_empty());
}

#[test]
fn a_dropped_submission_adds_nothing_and_unlocks() {
    let (buffer, attachment, _) = attached("dropped");
    let mapping = attachment.map().unwrap();
    drop(Submission::begin([mapping.write()]).unwrap());
    assert!(buffer.reservation().fences(FenceUsage::Bookkeep).is_empty());
    drop(Submission::begin([mapping.write()]).unwrap());
}

#[test]
fn waits_are_those_of_the_access() {
    let (_buffer, attachment, _) = attached("waits");
    let timeline = SoftwareTimeline::new("gpu");
    let mapping = attachment.map().unwrap();
    Submission::begin([mapping.read()])
        .unwrap()
        .commit(&timeline.fence(1));
    let waits = |used| {
        let mut waits = Vec::new();
        let submission = Submission::begin([used]).unwrap();
        submission
            .visit_waits(|fence, usage, _| {
                waits.push((fence.producer().to_owned(), usage));
                Ok::<_, ()>(())
            })
            .unwrap();
        waits
    };
    assert_eq!(waits(mapping.read()), []);
    assert_eq!(
        waits(mapping.write()),
        [("gpu".to_owned(), FenceUsage::Read)]
    );
}

#[test]
fn a_buffer_named_twice_is_locked_once_and_its_write_wins() {
    let (buffer, attachment, _) = attached("twice");
    let timeline = SoftwareTimeline::new("gpu");
    let mapping = attachment.map().unwrap();
    let submission = Submission::begin([mapping.read(), mapping.write(), mapping.read()]).unwrap();
    submission.commit(&timeline.fence(1));
    assert_eq!(buffer.ready(Access::Read).status(), FenceStatus::Pending);
}

#[test]
fn every_attachment_of_a_buffer_gets_the_fence() {
    let (buffer, first, _) = attached("both");
    let importer = Recorder::default();
    let second = buffer.attach(&importer).unwrap();
    let timeline = SoftwareTimeline::new("gpu");
    let uses = [first.map().unwrap().write(), second.map().unwrap().read()];
    Submission::begin(uses).unwrap().commit(&timeline.fence(1));
    // The reader's object must not go before the fence either.
    drop(second);
    assert_eq!(
        importer.record.lock().unwrap().retired[0].status(),
        FenceStatus::Pending
    );
}

#[test]
fn i10_a_second_submission_of_the_same_thread_is_refused_and_does_not_hang() {
    let (_a, first, _) = attached("first");
    let (_b, second, _) = attached("second");
    let (first, second) = (first.map().unwrap(), second.map().unwrap());
    let open = Submission::begin([second.write()]).unwrap();
    match Submission::begin([first.write(), second.write()]) {
        Err(SubmitError::WouldDeadlock { buffer }) => assert_eq!(buffer, "second"),
        other => panic!("{other:?}"),
    }
    drop(open);
    // The refusal let go of what it had locked.
    drop(Submission::begin([first.write(), second.write()]).unwrap());
}

#[test]
fn i12_threads_that_lock_many_buffers_in_any_order_all_finish() {
    let sets: Vec<_> = (0..4)
        .map(|index| attached(&format!("ring-{index}")))
        .collect();
    let mappings: Vec<_> = sets
        .iter()
        .map(|(_, attachment, _)| attachment.map().unwrap())
        .collect();
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for worker in 0..4 {
            let (mappings, start) = (&mappings, &start);
            scope.spawn(move || {
                let timeline = SoftwareTimeline::new("worker");
                start.wait();
                for round in 1..=500_u64 {
                    let uses = (0..3).map(|step| mappings[(worker + step) % 4].write());
                    let submission = Submission::begin(uses).unwrap();
                    submission.commit(&timeline.fence(round));
                    timeline.signal(round);
                }
            });
        }
    });
    for (buffer, ..) in &sets {
        assert_eq!(buffer.ready(Access::Write).status(), FenceStatus::Signalled);
    }
}

#[test]
fn steady_use_does_not_grow_the_reservation() {
    let (buffer, attachment, _) = attached("steady");
    let (gpu, display) = (
        SoftwareTimeline::new("gpu"),
        SoftwareTimeline::new("display"),
    );
    let mapping = attachment.map().unwrap();
    for round in 1..=1000 {
        Submission::begin([mapping.write()])
            .unwrap()
            .commit(&gpu.fence(round));
        Submission::begin([mapping.read()])
            .unwrap()
            .commit(&display.fence(round));
    }
    assert_eq!(
        buffer
            .reservation()
            .fences(FenceUsage::Bookkeep)
            .iter()
            .count(),
        2
    );
}

#[test]
fn i1_attachments_pin_until_the_last_mapping_is_gone() {
    let (buffer, attachment, importer) = attached("pins");
    let pins = || {
        buffer
            .attachments()
            .iter()
            .map(|attachment| attachment.pins)
            .sum::<u32>()
    };
    assert_eq!(
        (pins(), buffer.attachments()[0].name.as_str()),
        (1, "recorder")
    );
    let mapping = attachment.map().unwrap();
    assert!(mapping.is_same(&attachment.map().unwrap()));
    drop(attachment);
    assert_eq!((pins(), importer.retired()), (1, 0));
    drop(mapping);
    assert_eq!((pins(), importer.retired()), (0, 1));
}

#[test]
fn an_object_is_retired_with_the_fences_of_its_own_attachment() {
    let (buffer, attachment, importer) = attached("retired");
    let other = Recorder::default();
    let other_mapping = buffer.attach(&other).unwrap().map().unwrap();
    let (mine, theirs) = (
        SoftwareTimeline::new("mine"),
        SoftwareTimeline::new("theirs"),
    );
    let mapping = attachment.map().unwrap();
    Submission::begin([mapping.read()])
        .unwrap()
        .commit(&mine.fence(1));
    Submission::begin([other_mapping.read()])
        .unwrap()
        .commit(&theirs.fence(1));
    drop((mapping, attachment));
    let record = importer.record.lock().unwrap();
    let producers: Vec<_> = record.retired[0]
        .iter()
        .map(|fence| fence.producer().to_owned())
        .collect();
    assert_eq!(producers, ["mine"]);
}

#[test]
fn i13_a_refused_attach_leaves_the_buffer_as_it_was() {
    let (buffer, importer) = (buffer("refused"), Recorder::default());
    importer.record.lock().unwrap().refuse = true;
    match buffer.attach(&importer) {
        Err(AttachError::Import { buffer, .. }) => assert_eq!(buffer, "refused"),
        other => panic!("{other:?}"),
    }
    assert!(buffer.attachments().is_empty());
}

#[test]
fn an_export_pins_and_is_named_until_its_guard_goes() {
    let buffer = buffer("exported");
    let mut guard = buffer.export("wayland client 7").unwrap();
    let fds = guard.take_fds();
    assert_eq!((fds.len(), guard.take_fds().len()), (1, 0));
    assert_eq!(buffer.attachments()[0].name, "wayland client 7");
    let memory = dmashare::DmaBufMemory::new(fds.into_iter().next().unwrap()).unwrap();
    assert_eq!(memory.id(), guard.dmabuf().id());
    drop(guard);
    assert!(buffer.attachments().is_empty());
}

/// A heap whose buffers are still being cleared when they are handed out.
#[derive(Clone, Debug)]
struct Clearing(dmashare::host::DmaHeap, dmashare::Fence);

impl dmashare::Exporter for Clearing {
    fn name(&self) -> &str {
        "clearing"
    }

    fn modifiers(
        &self,
        desc: &dmashare::BufferDesc,
    ) -> Result<Vec<dmashare::Modifier>, dmashare::ExportError> {
        self.0.modifiers(desc)
    }

    fn allocate(
        &self,
        desc: &dmashare::BufferDesc,
        modifiers: &[dmashare::Modifier],
    ) -> Result<dmashare::Allocation, dmashare::ExportError> {
        Ok(self
            .0
            .allocate(desc, modifiers)?
            .usable_after(self.1.clone()))
    }
}

#[test]
fn i7_the_first_use_waits_for_what_the_exporter_has_in_flight() {
    let timeline = SoftwareTimeline::new("clear");
    let exporter = Clearing(support::heap(), timeline.fence(1));
    let linear = [dmashare::Modifier::LINEAR];
    let buffer = SharedBuffer::new(&exporter, support::desc("clearing"), &linear).unwrap();
    assert_eq!(buffer.ready(Access::Read).status(), FenceStatus::Pending);
    timeline.signal(1);
    assert_eq!(buffer.ready(Access::Write).status(), FenceStatus::Signalled);
}

#[test]
fn work_that_is_being_submitted_keeps_its_object() {
    let (_buffer, attachment, importer) = attached("kept");
    let timeline = SoftwareTimeline::new("gpu");
    let submission = Submission::begin([attachment.map().unwrap().write()]).unwrap();
    // The work names the object from here on, and its fence is not known yet.
    drop(attachment);
    assert_eq!(importer.retired(), 0);
    submission.commit(&timeline.fence(1));
    let record = importer.record.lock().unwrap();
    assert_eq!(record.retired[0].status(), FenceStatus::Pending);
}

#[test]
fn a_use_knows_its_importer() {
    let (_buffer, attachment, importer) = attached("whose");
    let used = attachment.map().unwrap().read();
    let found = used.importer::<Recorder>().unwrap();
    assert!(std::sync::Arc::ptr_eq(&found.record, &importer.record));
    assert_eq!(used.buffer_name(), "whose");
}
