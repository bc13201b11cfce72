//! pin ‖ move, unpin ‖ choosing whom to evict.

use std::sync::Arc;

use dmashare::{
    ExportError, Moment, MoveError, PinError, Placement, Placements, Priority, Residency,
    ResidencyError,
};
use shuttle::thread;

use crate::support::device::{Calls, Device};
use crate::support::fake_exporter::{FakeExporter, memory_of};
use crate::{assert_settled, attached, buffer, explore, to};

#[test]
fn i2_a_pinned_buffer_stays() {
    explore(2000, || {
        let (buffer, exporter) = buffer("pin and move");
        let (attachment, _calls) = attached(&buffer);
        let pinner = thread::spawn({
            let buffer = buffer.clone();
            move || {
                for _ in 0..2 {
                    let pin = match attachment.pin("scanout") {
                        Ok(pin) => pin,
                        Err(PinError::Moving { .. }) => continue,
                        Err(error) => panic!("{error}"),
                    };
                    let before = memory_of(&buffer.backing()).id;
                    thread::yield_now();
                    assert_eq!(memory_of(&buffer.backing()).id, before, "I2");
                    drop(pin);
                }
            }
        });
        for place in [Placements::SHMEM, Placements::HOST] {
            match buffer.move_to(&to(place)) {
                Ok(_) | Err(MoveError::Pinned { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        pinner.join().unwrap();
        assert_settled(&buffer, &exporter);
    });
}

#[test]
fn i2_a_mapping_that_is_held_in_place_is_current() {
    explore(1500, || {
        let (buffer, exporter) = buffer("hold and move");
        let (attachment, _calls) = attached(&buffer);
        let holder = thread::spawn(move || {
            let mapping = attachment.map().unwrap();
            match mapping.hold_in_place(&"scanout".into(), Moment::now()) {
                Ok(pin) => {
                    assert!(!mapping.is_stale(), "I2");
                    thread::yield_now();
                    assert!(!mapping.is_stale(), "I2");
                    drop(pin);
                }
                Err(PinError::Stale { .. } | PinError::Moving { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        });
        let _ = buffer.move_to(&to(Placements::SHMEM));
        holder.join().unwrap();
        assert_settled(&buffer, &exporter);
    });
}

#[test]
fn a_static_attachment_and_a_move_exclude_each_other() {
    explore(1500, || {
        let (buffer, exporter) = buffer("attach and move");
        let attacher = thread::spawn({
            let buffer = buffer.clone();
            move || {
                let Ok(attachment) = buffer.attach(&Device::anywhere("encoder")) else {
                    return;
                };
                let mapping = attachment.map().unwrap();
                thread::yield_now();
                assert!(!mapping.is_stale(), "I2");
            }
        });
        let _ = buffer.move_to(&to(Placements::SHMEM));
        attacher.join().unwrap();
        assert_settled(&buffer, &exporter);
    });
}

#[test]
fn a_buffer_that_is_unpinned_can_be_evicted() {
    explore(1500, || {
        let residency = Residency::new();
        let exporter = FakeExporter::new(Placements::DEVICE | Placements::HOST);
        let create = |name: &str| {
            let desc = crate::support::desc(name);
            let device = to(Placements::DEVICE);
            residency.create(&exporter, desc, &device, Priority::default())
        };
        let first = create("first").unwrap();
        residency.set_budget(Placement::Device, first.backing().bytes());
        let attachment = first.attach_dynamic(&Device::anywhere("display"), Calls::default());
        let pin = attachment.unwrap().pin("scanout").unwrap();
        let unpinner = thread::spawn(move || drop(pin));
        let second = match create("second") {
            Ok(second) => Some(second),
            Err(ExportError::NoSpace { source, .. }) => {
                assert!(matches!(*source, ResidencyError::Full { .. }), "{source}");
                None
            }
            Err(error) => panic!("{error}"),
        };
        unpinner.join().unwrap();
        // Nobody was lost from the list: there is room for a third, and for the first's return.
        let third = create("third").unwrap();
        let places = [Some(&first), second.as_ref(), Some(&third)];
        let in_place = places.into_iter().flatten();
        let in_place = in_place.filter(|one| one.backing().placement() == Placement::Device);
        assert_eq!(in_place.count(), 1);
        drop((first, second, third));
        assert_eq!(exporter.live().len(), 0);
        exporter.assert_no_faults();
    });
}

#[test]
fn i1_pins_that_come_and_go_are_counted() {
    explore(1000, || {
        let (buffer, exporter) = buffer("pins");
        let (attachment, _calls) = attached(&buffer);
        let first = Arc::new(attachment.pin("first").unwrap());
        let other = thread::spawn({
            let attachment = attachment.clone();
            move || drop(attachment.pin("second").unwrap())
        });
        let third = attachment.pin("third").unwrap();
        drop(first);
        other.join().unwrap();
        assert_eq!(buffer.pins(), 1);
        drop(third);
        assert_eq!(buffer.pins(), 0);
        assert_settled(&buffer, &exporter);
    });
}
