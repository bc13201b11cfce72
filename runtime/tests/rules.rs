//! The rules of the April 2019 thread, "dma-buf: add explicit buffer pinning", one test each.
//!
//! That an attachment without a callback cannot pin is a rule of types: see the example of
//! `StaticAttachment` that must not compile.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::fmt;
use std::sync::{Arc, Mutex};

use dmashare::{
    Access, AccessConstraint, FenceStatus, Importer, MoveError, Placement, Placements,
    SharedBuffer, SoftwareTimeline, Submission,
};
use support::device::{Calls, Device};
use support::fake_exporter::{FakeExporter, memory_of};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

fn to(placements: Placements) -> AccessConstraint {
    AccessConstraint::placements(placements)
}

fn movable() -> (SharedBuffer, FakeExporter) {
    let exporter = FakeExporter::new(Placements::HOST | Placements::SHMEM);
    let anything = AccessConstraint::default();
    let buffer = SharedBuffer::new_dynamic(&exporter, support::desc("ruled"), &anything);
    (buffer.unwrap(), exporter)
}

fn is_pinned(buffer: &SharedBuffer) -> bool {
    let memory = memory_of(&buffer.backing());
    memory.pinned.load(std::sync::atomic::Ordering::SeqCst)
}

#[test]
fn rule_a_static_exporters_memory_stays_mapped_and_pins_do_nothing() {
    let buffer = support::buffer("static exporter");
    let device = Device::anywhere("gpu");
    let attachment = buffer.attach_dynamic(&device, Calls::default()).unwrap();
    let mapping = attachment.map().unwrap();
    let pin = attachment.pin("scanout").unwrap();
    assert_eq!(buffer.pins(), 1);
    drop(pin);
    assert_eq!(buffer.pins(), 0);
    assert!(attachment.map().unwrap().is_same(&mapping));
    assert_eq!(
        (device.imports(), buffer.backing().generation().as_u64()),
        (1, 1)
    );
}

#[test]
fn rule_a_static_importer_of_a_dynamic_exporter_is_mapped_and_pinned_at_attach() {
    let (buffer, _exporter) = movable();
    let device = Device::anywhere("encoder");
    let attachment = buffer.attach(&device).unwrap();
    assert_eq!(
        (device.imports(), buffer.pins(), is_pinned(&buffer)),
        (1, 1, true)
    );
    let moved = buffer.move_to(&to(Placements::SHMEM));
    assert!(matches!(moved, Err(MoveError::Pinned { .. })), "{moved:?}");
    // And undone at detach.
    drop(attachment);
    assert_eq!(
        (device.objects(), buffer.pins(), is_pinned(&buffer)),
        (0, 0, false)
    );
    buffer.move_to(&to(Placements::SHMEM)).unwrap();
}

#[test]
fn rule_a_dynamic_importer_of_a_dynamic_exporter_caches_its_mapping_and_does_not_pin() {
    let (buffer, _exporter) = movable();
    let (device, calls) = (Device::anywhere("gpu"), Calls::default());
    let attachment = buffer.attach_dynamic(&device, calls.clone()).unwrap();
    assert_eq!(device.imports(), 0, "mapped when it is needed");
    let mapping = attachment.map().unwrap();
    assert!(attachment.map().unwrap().is_same(&mapping));
    assert_eq!(
        (device.imports(), buffer.pins(), is_pinned(&buffer)),
        (1, 0, false)
    );
    // It adds a fence to every use: so the buffer may move, and the copy waits for it.
    let gpu = SoftwareTimeline::new("gpu");
    Submission::begin([mapping.write()])
        .unwrap()
        .commit(&gpu.fence(1));
    let moved = buffer.move_to(&to(Placements::SHMEM)).unwrap();
    assert_eq!((calls.count(), moved.is_over()), (1, false));
    gpu.signal(1);
    assert!(moved.is_over());
    assert!(!attachment.map().unwrap().is_same(&mapping));
}

#[test]
fn rule_only_what_is_pinned_is_pinned() {
    let (buffer, _exporter) = movable();
    let attachment = buffer.attach_dynamic(&Device::anywhere("display"), Calls::default());
    let attachment = attachment.unwrap();
    let pin = attachment.pin("scanout Virtual-1").unwrap();
    assert!(is_pinned(&buffer));
    buffer.move_to(&to(Placements::SHMEM)).unwrap_err();
    drop(pin);
    assert!(!is_pinned(&buffer));
    buffer.move_to(&to(Placements::SHMEM)).unwrap();
}

#[test]
fn rule_the_attachment_is_pinned_and_the_buffers_count_is_the_sum() {
    let (buffer, exporter) = movable();
    let attach = |name: &str| {
        let attached = buffer.attach_dynamic(&Device::anywhere(name), Calls::default());
        attached.unwrap()
    };
    let (first, second) = (attach("first"), attach("second"));
    let pins = [
        first.pin("a").unwrap(),
        first.pin("b").unwrap(),
        second.pin("c").unwrap(),
    ];
    let encoder = buffer.attach(&Device::anywhere("encoder")).unwrap();
    let counts = || -> Vec<u32> { buffer.attachments().iter().map(|one| one.pins).collect() };
    assert_eq!((counts(), buffer.pins()), (vec![2, 1, 1], 4));
    let [_a, b, c] = pins;
    drop((b, encoder));
    assert_eq!((counts(), buffer.pins()), (vec![1, 1], 2));
    drop(c);
    assert_eq!((counts(), buffer.pins()), (vec![1, 0], 1));
    exporter.assert_no_faults();
}

/// Remembers the messages of this crate.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
                self.0.push_str(&format!("{value:?} "));
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn rule_moving_a_pinned_buffer_is_refused_by_name_counted_and_traced() {
    let (buffer, exporter) = movable();
    let calls = Calls::default();
    let attachment = buffer
        .attach_dynamic(&Device::anywhere("display"), calls.clone())
        .unwrap();
    drop(attachment.map().unwrap());
    let _pin = attachment.pin("scanout Virtual-1").unwrap();
    let log = Log::default();
    let moved =
        tracing::subscriber::with_default(log.clone(), || buffer.move_to(&to(Placements::SHMEM)));
    match moved {
        Err(error @ MoveError::Pinned { .. }) => {
            assert!(error.to_string().contains("'scanout Virtual-1'"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    // Before anything has changed.
    assert_eq!((calls.count(), exporter.live().len()), (0, 1));
    let report = buffer.report();
    assert_eq!(
        (report.refusals, report.moves, report.generation.as_u64()),
        (1, 0, 1)
    );
    let log = log.0.lock().unwrap();
    assert!(
        log.iter()
            .any(|line| line.contains("refused") && line.contains("Virtual-1"))
    );
}

#[test]
fn rule_a_pin_takes_the_buffer_to_where_its_device_reaches_it_first() {
    let (buffer, _exporter) = movable();
    let display = Device::new("display", Placements::SHMEM);
    let attachment = buffer.attach_dynamic(&display, Calls::default()).unwrap();
    let pin = attachment.pin("scanout").unwrap();
    assert_eq!(buffer.backing().placement(), Placement::Shmem);
    drop(pin);
    // And not to where another that is attached could not follow.
    let other = Device::new("camera", Placements::HOST);
    let camera = buffer.attach_dynamic(&other, Calls::default()).unwrap();
    let pin = attachment.pin("scanout");
    assert!(
        matches!(pin, Err(dmashare::PinError::Unreachable { .. })),
        "{pin:?}"
    );
    drop(camera);
    assert_eq!(display.name(), "display");
}

#[test]
fn rule_what_leaves_the_library_is_a_static_attachment() {
    let (buffer, exporter) = movable();
    let guard = buffer.export("wayland client 7").unwrap();
    let moved = buffer.move_to(&to(Placements::SHMEM)).unwrap_err();
    assert!(moved.to_string().contains("'wayland client 7'"), "{moved}");
    drop(guard);
    buffer.move_to(&to(Placements::SHMEM)).unwrap();
    exporter.assert_no_faults();
    assert_eq!(buffer.ready(Access::Write).status(), FenceStatus::Signalled);
}
