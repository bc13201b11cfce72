//! A tracing subscriber that asks the library for a report at each event: no event is told under a lock that
//! a report takes.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dmashare::{
    Access, AccessConstraint, Placement, Placements, Priority, Residency, RuntimeReport,
    SoftwareTimeline, Submission,
};
use dmashare_lab_probe::within_time_limit;
use support::device::{Calls, Device};
use support::fake_exporter::{FakeExporter, Step};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static EVENTS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static REPORTING: Cell<bool> = const { Cell::new(false) };
}

/// Reports all buffers at each event and span.
struct Reporter;

fn report() {
    if !REPORTING.replace(true) {
        EVENTS.fetch_add(1, Ordering::Relaxed);
        for buffer in RuntimeReport::new().buffers {
            assert!(!buffer.name.is_empty());
        }
        REPORTING.set(false);
    }
}

impl Subscriber for Reporter {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        report();
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        report();
    }

    fn enter(&self, _: &Id) {
        report();
    }

    fn exit(&self, _: &Id) {
        report();
    }
}

#[test]
fn a_subscriber_may_ask_for_reports() {
    tracing::subscriber::set_global_default(Reporter).unwrap();
    within_time_limit(|| {
        let exporter = FakeExporter::new(Placements::HOST | Placements::SHMEM);
        let residency = Residency::new();
        let host = AccessConstraint::placements(Placements::HOST);
        let shmem = AccessConstraint::placements(Placements::SHMEM);
        let made = residency.create(&exporter, support::desc("watched"), &host, Priority(1));
        let buffer = made.unwrap();
        let attachment = buffer.attach_dynamic(&Device::anywhere("gpu"), Calls::default());
        let attachment = attachment.unwrap();
        let mapping = attachment.map().unwrap();
        let done = SoftwareTimeline::new("done");
        done.signal(1);
        let submission = Submission::begin([mapping.write()]).unwrap();
        submission.commit(&done.fence(1));
        let pin = attachment.pin("scanout").unwrap();
        buffer.move_to(&shmem).unwrap_err();
        drop(pin);
        exporter.fail(Step::Copy, 0);
        buffer.move_to(&shmem).unwrap_err();
        buffer.move_to(&shmem).unwrap();
        drop(mapping);
        residency.dispatch();
        let kept = attachment.map().unwrap();
        residency.trim(Placement::Host, 1);
        buffer.set_stale_deadline(Duration::ZERO);
        residency.dispatch();
        drop(kept);
        let again = buffer.attach_dynamic(&Device::anywhere("again"), Calls::default());
        let again = again.unwrap();
        drop(again.map().unwrap());
        let pinned = buffer.attach(&Device::anywhere("encoder")).unwrap();
        drop(pinned);
        let guard = buffer.export("client").unwrap();
        buffer.add_fence(Access::Write, done.fence(1)).unwrap();
        buffer.publish_fences().unwrap();
        drop(guard);
        let revocation = buffer.revoke().unwrap();
        revocation.wait(Duration::ZERO).unwrap_or_default();
        buffer.unrevoke().unwrap();
    });
    let events = EVENTS.load(Ordering::Relaxed);
    assert!(events > 20, "{events}");
}
