//! detach ‖ invalidate, drop of everything ‖ invalidate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use dmashare::{Access, InvalidationContext, MapError, Placements, SoftwareTimeline};
use shuttle::thread;

use crate::support::device::Device;
use crate::{assert_settled, attached, buffer, explore, to};

/// A callback that notes whether it ran when its attachment was gone. (Its panic would be caught.)
fn callback(
    gone: &Arc<AtomicBool>,
    late: &Arc<AtomicBool>,
) -> impl Fn(&InvalidationContext<'_>) + use<> {
    let (gone, late) = (gone.clone(), late.clone());
    move |_context| {
        late.fetch_or(gone.load(SeqCst), SeqCst);
        // Long enough for the other thread to come between.
        thread::yield_now();
        late.fetch_or(gone.load(SeqCst), SeqCst);
    }
}

#[test]
fn i5_no_callback_runs_once_an_attachment_is_gone() {
    explore(2000, || {
        let (buffer, exporter) = buffer("detach and move");
        let (gone, late) = (Arc::default(), Arc::default());
        let attachment = buffer.attach_dynamic(&Device::anywhere("gpu"), callback(&gone, &late));
        let attachment = attachment.unwrap();
        drop(attachment.map().unwrap());
        let detacher = thread::spawn(move || {
            drop(attachment);
            gone.store(true, SeqCst);
        });
        buffer.move_to(&to(Placements::SHMEM)).unwrap();
        detacher.join().unwrap();
        assert!(!late.load(SeqCst), "a callback ran after the detach (I5)");
        assert_settled(&buffer, &exporter);
    });
}

#[test]
fn i5_every_attachment_that_maps_is_told_once() {
    explore(1500, || {
        let (buffer, exporter) = buffer("several");
        let (first, first_calls) = attached(&buffer);
        let (second, second_calls) = attached(&buffer);
        drop(first.map().unwrap());
        let mapper = thread::spawn(move || {
            let mapping = second.map().unwrap();
            let generation = mapping.backing().generation().as_u64();
            (second, generation)
        });
        buffer.move_to(&to(Placements::SHMEM)).unwrap();
        let (_second, mapped) = mapper.join().unwrap();
        assert_eq!(first_calls.generations(), [1]);
        // Whoever mapped the first generation was told; who came later was not. (Telling one whose
        // mapping was not finished yet does no harm.)
        let told = second_calls.generations();
        assert!(told.is_empty() || told == [1], "{told:?}");
        assert!(mapped == 2 || told == [1], "mapped {mapped}, told {told:?}");
        assert_settled(&buffer, &exporter);
    });
}

#[test]
fn everything_may_go_while_a_move_goes_on() {
    explore(1500, || {
        let (buffer, exporter) = buffer("drop and move");
        let (attachment, _calls) = attached(&buffer);
        let mapping = attachment.map().unwrap();
        let dropper = thread::spawn({
            let buffer = buffer.clone();
            move || drop((buffer, attachment, mapping))
        });
        drop(buffer.move_to(&to(Placements::SHMEM)).unwrap());
        drop(buffer);
        dropper.join().unwrap();
        exporter.assert_no_faults();
        assert_eq!(exporter.live().len(), 0, "all memory goes back");
    });
}

#[test]
fn an_attachment_that_its_callback_detaches_does_not_map_the_new_memory() {
    explore(2000, || {
        let (buffer, exporter) = buffer("detach afterwards");
        let told = Arc::new(AtomicBool::new(false));
        let callback = {
            let told = told.clone();
            move |context: &InvalidationContext<'_>| {
                context.detach_afterwards();
                told.store(true, SeqCst);
            }
        };
        let attachment = buffer.attach_dynamic(&Device::anywhere("gpu"), callback);
        let attachment = attachment.unwrap();
        drop(attachment.map().unwrap());
        let mapper = thread::spawn({
            let buffer = buffer.clone();
            move || {
                while !told.load(SeqCst) {
                    thread::yield_now();
                }
                // Waits until the callbacks have run: the reservation is locked while they do.
                let done = SoftwareTimeline::new("done");
                done.signal(1);
                buffer.add_fence(Access::Read, done.fence(1)).unwrap();
                let mapped = attachment.map().map(drop);
                let is_refused = matches!(mapped, Err(MapError::Detached { .. }));
                assert!(is_refused, "mapped again after it was told: {mapped:?}");
                attachment
            }
        });
        buffer.move_to(&to(Placements::SHMEM)).unwrap();
        let attachment = mapper.join().unwrap();
        assert!(matches!(attachment.map(), Err(MapError::Detached { .. })));
        assert_settled(&buffer, &exporter);
    });
}
