//! Doors that are used in the wrong state of a buffer: a named error, and nothing has changed.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use dmashare::{
    Access, AttachError, DynamicAttachment, FenceError, MapError, Moment, MoveError, PinError,
    Placements, RevokeError, SharedBuffer, SoftwareTimeline, Submission, SubmitError,
};
use dmashare_lab_probe::within_time_limit;
use support::device::{Calls, Device};
use support::fake_exporter::{FakeExporter, Step};
use support::to;

const LONG: Duration = Duration::from_secs(3600);

/// A buffer in host memory that can move, its exporter, and one that is attached and told.
fn movable() -> (SharedBuffer, FakeExporter, DynamicAttachment<Device>) {
    let (buffer, exporter) = support::movable("misused");
    let attachment = support::attached(&buffer);
    (buffer, exporter, attachment)
}

#[test]
fn static_memory_does_not_move() {
    within_time_limit(|| {
        let buffer = support::buffer("static");
        let moved = buffer.move_to(&to(Placements::SHMEM));
        assert!(matches!(moved, Err(MoveError::Static { .. })), "{moved:?}");
        // A device that cannot use it where it is has no way.
        let device = Device::new("picky", Placements::DEVICE);
        let attached = buffer.attach(&device).map(|_| ());
        assert!(
            matches!(attached, Err(AttachError::Unreachable { .. })),
            "{attached:?}"
        );
        let attached = buffer.attach_dynamic(&device, Calls::default()).map(|_| ());
        assert!(
            matches!(attached, Err(AttachError::Unreachable { .. })),
            "{attached:?}"
        );
        assert!(buffer.attachments().is_empty());
    });
}

#[test]
fn a_buffer_that_is_moving_is_not_moved_pinned_attached_or_revoked() {
    within_time_limit(|| {
        let (buffer, _exporter, attachment) = movable();
        let gpu = SoftwareTimeline::new("gpu");
        buffer.add_fence(Access::Write, gpu.fence(1)).unwrap();
        let moved = buffer.move_to(&to(Placements::SHMEM)).unwrap();
        assert!(!moved.is_over());
        let again = buffer.move_to(&to(Placements::HOST));
        assert!(matches!(again, Err(MoveError::Moving { .. })), "{again:?}");
        let pin = attachment.pin("scanout");
        assert!(matches!(pin, Err(PinError::Moving { .. })), "{pin:?}");
        let attached = buffer.attach(&Device::anywhere("late")).map(|_| ());
        assert!(
            matches!(attached, Err(AttachError::Moving { .. })),
            "{attached:?}"
        );
        let export = buffer.export("client").map(|_| ());
        assert!(
            matches!(export, Err(AttachError::Moving { .. })),
            "{export:?}"
        );
        let revoked = buffer.revoke();
        assert!(
            matches!(revoked, Err(RevokeError::Moving { .. })),
            "{revoked:?}"
        );
        // A device that cannot use it where it goes is told, and gets no mapping of it.
        let picky = Device::new("picky", Placements::HOST);
        let picky = buffer
            .move_to(&to(Placements::SHMEM))
            .map(|_| picky)
            .unwrap();
        let attached = buffer.attach_dynamic(&picky, Calls::default()).map(|_| ());
        assert!(
            matches!(attached, Err(AttachError::Moving { .. })),
            "{attached:?}"
        );
        let timeout = moved.wait(Duration::from_millis(20));
        assert!(
            matches!(timeout, Err(FenceError::Timeout { .. })),
            "{timeout:?}"
        );
        gpu.signal(1);
        moved.wait(LONG).unwrap();
        drop(attachment.pin("scanout").unwrap());
    });
}

#[test]
fn a_device_gets_no_mapping_of_memory_that_it_cannot_use() {
    within_time_limit(|| {
        let (buffer, _exporter, _attachment) = movable();
        let device = Device::new("host only", Placements::HOST);
        let attachment = buffer.attach_dynamic(&device, Calls::default()).unwrap();
        let gpu = SoftwareTimeline::new("gpu");
        buffer.add_fence(Access::Write, gpu.fence(1)).unwrap();
        buffer.move_to(&to(Placements::SHMEM)).unwrap();
        match attachment.map() {
            Err(MapError::Move { source }) => {
                assert!(matches!(*source, MoveError::Moving { .. }), "{source}");
            }
            other => panic!("{other:?}"),
        }
        gpu.signal(1);
        let mapping = attachment.map().unwrap();
        assert_eq!(mapping.backing().placement(), dmashare::Placement::Host);
    });
}

#[test]
fn nobody_maps_or_pins_what_was_revoked() {
    within_time_limit(|| {
        let (buffer, _exporter, attachment) = movable();
        let mapping = attachment.map().unwrap();
        let unrevoked = buffer.unrevoke();
        assert!(
            matches!(unrevoked, Err(RevokeError::NotRevoked { .. })),
            "{unrevoked:?}"
        );
        buffer.revoke().unwrap();
        let again = buffer.revoke();
        assert!(
            matches!(again, Err(RevokeError::Revoked { .. })),
            "{again:?}"
        );
        let map = attachment.map().map(|_| ());
        assert!(matches!(map, Err(MapError::Revoked { .. })), "{map:?}");
        let pin = attachment.pin("scanout");
        assert!(matches!(pin, Err(PinError::Revoked { .. })), "{pin:?}");
        let moved = buffer.move_to(&to(Placements::SHMEM));
        assert!(matches!(moved, Err(MoveError::Revoked { .. })), "{moved:?}");
        let attached = buffer.attach(&Device::anywhere("late")).map(|_| ());
        assert!(
            matches!(attached, Err(AttachError::Revoked { .. })),
            "{attached:?}"
        );
        let held = mapping.hold_in_place(&"scanout".into(), Moment::now());
        assert!(matches!(held, Err(PinError::Revoked { .. })), "{held:?}");
        let begun = Submission::begin([mapping.write()]).map(|_| ());
        assert!(matches!(begun, Err(SubmitError::Stale { .. })), "{begun:?}");
        buffer.unrevoke().unwrap();
        let held = mapping.hold_in_place(&"scanout".into(), Moment::now());
        assert!(matches!(held, Err(PinError::Stale { .. })), "{held:?}");
        drop(attachment.map().unwrap());
    });
}

#[test]
fn static_importers_cannot_be_revoked() {
    within_time_limit(|| {
        let (buffer, _exporter, _attachment) = movable();
        let guard = buffer.export("wayland client 7").unwrap();
        match buffer.revoke() {
            Err(RevokeError::NotRevocable { importers, .. }) => {
                assert_eq!(importers, ["wayland client 7"]);
            }
            other => panic!("{other:?}"),
        }
        drop(guard);
        buffer.revoke().unwrap();
    });
}

#[test]
fn i13_a_pin_that_the_exporter_refuses_leaves_nothing() {
    within_time_limit(|| {
        let (buffer, exporter, attachment) = movable();
        exporter.fail(Step::Pin, 0);
        let pin = attachment.pin("scanout");
        assert!(matches!(pin, Err(PinError::Exporter { .. })), "{pin:?}");
        exporter.fail(Step::Pin, 0);
        let attached = buffer.attach(&Device::anywhere("encoder")).map(|_| ());
        assert!(
            matches!(attached, Err(AttachError::Pin { .. })),
            "{attached:?}"
        );
        assert_eq!((buffer.pins(), buffer.attachments().len()), (0, 1));
        buffer.move_to(&to(Placements::SHMEM)).unwrap();
        exporter.assert_no_faults();
    });
}
