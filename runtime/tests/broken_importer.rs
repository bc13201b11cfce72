//! Importers whose callback panics, that detach themselves, and that never let go.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use dmashare::{
    InvalidationContext, MapError, PinError, Placements, RevokeError, Submission, SubmitError,
};
use dmashare_lab_probe::within_time_limit;
use support::device::{Calls, Device};
use support::{movable, to};

#[test]
fn an_importer_whose_callback_panics_is_dead_and_the_move_goes_on() {
    within_time_limit(|| {
        let (buffer, exporter) = movable("shared");
        let panics = |_: &InvalidationContext<'_>| {
            std::panic::resume_unwind(Box::new("a broken importer"));
        };
        let broken = buffer
            .attach_dynamic(&Device::anywhere("broken"), panics)
            .unwrap();
        let calls = Calls::default();
        let other = buffer
            .attach_dynamic(&Device::anywhere("sound"), calls.clone())
            .unwrap();
        drop((broken.map().unwrap(), other.map().unwrap()));
        buffer.move_to(&to(Placements::SHMEM)).unwrap();
        assert_eq!(calls.generations(), [1], "the others are told all the same");
        let dead: Vec<_> = buffer.attachments().iter().map(|one| one.dead).collect();
        assert_eq!(dead, [true, false]);
        let map = broken.map().map(|_| ());
        assert!(matches!(map, Err(MapError::Dead { .. })), "{map:?}");
        let pin = broken.pin("scanout");
        assert!(matches!(pin, Err(PinError::Dead { .. })), "{pin:?}");
        drop(other.map().unwrap());
        // It may be attached anew.
        drop(broken);
        let anew = buffer.attach_dynamic(&Device::anywhere("broken"), Calls::default());
        drop(anew.unwrap().map().unwrap());
        exporter.assert_no_faults();
    });
}

#[test]
fn i9_an_importer_that_never_lets_go_is_dead_after_the_deadline_and_its_memory_is_kept() {
    within_time_limit(|| {
        let (buffer, exporter) = movable("shared");
        buffer.set_stale_deadline(Duration::from_millis(50));
        let device = Device::anywhere("hung");
        let attachment = buffer.attach_dynamic(&device, Calls::default()).unwrap();
        let mapping = attachment.map().unwrap();
        buffer.move_to(&to(Placements::SHMEM)).unwrap();
        assert_eq!(buffer.dispatch(), 0);
        assert!(!buffer.attachments()[0].dead, "there is time left");
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(buffer.dispatch(), 0);
        assert!(buffer.attachments()[0].dead);
        assert!(buffer.report().old_backings[0].overdue);
        let map = attachment.map().map(|_| ());
        assert!(matches!(map, Err(MapError::Dead { .. })), "{map:?}");
        // A leak, not a use after free: the memory is there for as long as it is mapped.
        assert_eq!(exporter.live().len(), 2);
        drop(mapping);
        assert_eq!(buffer.dispatch(), 1);
        assert_eq!(exporter.live().len(), 1);
        exporter.assert_no_faults();
    });
}

#[test]
fn a_dead_importers_current_mapping_is_refused() {
    within_time_limit(|| {
        let (buffer, _exporter) = movable("shared");
        buffer.set_stale_deadline(Duration::ZERO);
        let attachment = buffer.attach_dynamic(&Device::anywhere("slow"), Calls::default());
        let attachment = attachment.unwrap();
        let stale = attachment.map().unwrap();
        buffer.move_to(&to(Placements::SHMEM)).unwrap();
        let current = attachment.map().unwrap();
        let begun = Submission::begin([stale.read()]).map(|_| ());
        assert!(matches!(begun, Err(SubmitError::Stale { .. })), "{begun:?}");
        drop(Submission::begin([current.read()]).unwrap());
        buffer.dispatch();
        let begun = Submission::begin([current.read()]).map(|_| ());
        assert!(
            matches!(begun, Err(SubmitError::ImporterDead { .. })),
            "{begun:?}"
        );
    });
}

#[test]
fn a_callback_may_end_its_own_attachment() {
    within_time_limit(|| {
        let (buffer, exporter) = movable("shared");
        let detaches = |context: &InvalidationContext<'_>| context.detach_afterwards();
        let attachment = buffer.attach_dynamic(&Device::anywhere("leaving"), detaches);
        let attachment = attachment.unwrap();
        let mapping = attachment.map().unwrap();
        buffer.move_to(&to(Placements::SHMEM)).unwrap();
        assert!(buffer.attachments().is_empty());
        let map = attachment.map().map(|_| ());
        assert!(matches!(map, Err(MapError::Detached { .. })), "{map:?}");
        let pin = attachment.pin("scanout");
        assert!(matches!(pin, Err(PinError::Detached { .. })), "{pin:?}");
        let begun = Submission::begin([mapping.read()]).map(|_| ());
        assert!(matches!(begun, Err(SubmitError::Stale { .. })), "{begun:?}");
        // Its mapping still counts.
        assert_eq!(buffer.dispatch(), 0);
        drop((mapping, attachment));
        assert_eq!(buffer.dispatch(), 1);
        exporter.assert_no_faults();
    });
}

#[test]
fn a_revocation_that_is_not_answered_ends_with_a_list_and_keeps_the_memory() {
    within_time_limit(|| {
        let (buffer, exporter) = movable("shared");
        let attachment = buffer.attach_dynamic(&Device::anywhere("hung"), Calls::default());
        let attachment = attachment.unwrap();
        let mapping = attachment.map().unwrap();
        let gpu = dmashare::SoftwareTimeline::new("gpu");
        Submission::begin([mapping.read()])
            .unwrap()
            .commit(&gpu.fence(1));
        let revocation = buffer.revoke().unwrap();
        match revocation.wait(Duration::from_millis(20)) {
            Err(RevokeError::Timeout {
                importers, fences, ..
            }) => assert_eq!(
                (importers, fences),
                (vec!["hung".into()], vec!["gpu".into()])
            ),
            other => panic!("{other:?}"),
        }
        assert!(buffer.attachments()[0].dead);
        assert_eq!(exporter.live().len(), 1);
        drop(mapping);
        assert!(!revocation.is_over(), "its fence is pending");
        gpu.signal(1);
        revocation.wait(Duration::ZERO).unwrap();
        drop((attachment, buffer, revocation));
        assert_eq!(exporter.live().len(), 0);
        exporter.assert_no_faults();
    });
}
