//! map and submit ‖ move.

use std::sync::Arc;

use dmashare::{Access, FenceStatus, Placements, SoftwareTimeline};
use shuttle::thread;

use crate::support::fake_exporter::{CopyMode, memory_of};
use crate::{CONTENT, assert_settled, attached, buffer, content, explore, submit, to};

#[test]
fn i4_work_is_submitted_on_the_current_memory_and_waited_for() {
    explore(1500, || {
        let (buffer, exporter) = buffer("map and move");
        let (attachment, _calls) = attached(&buffer);
        let timeline = Arc::new(SoftwareTimeline::new("gpu"));
        let user = thread::spawn({
            let (buffer, timeline) = (buffer.clone(), timeline.clone());
            move || {
                for point in 1..=2 {
                    let mapping = attachment.map().unwrap();
                    // Stale is fine: then it has moved, and nothing was submitted.
                    submit(&mapping, &buffer, &timeline.fence(point));
                    buffer.dispatch();
                }
            }
        });
        for place in [Placements::SHMEM, Placements::HOST] {
            // While the copy of the first waits for the device the second is refused.
            let _ = buffer.move_to(&to(place));
        }
        user.join().unwrap();
        timeline.signal(2);
        assert_settled(&buffer, &exporter);
    });
}

#[test]
fn i7_memory_that_is_ready_has_its_content() {
    explore(1500, || {
        let (buffer, exporter) = buffer("ready");
        exporter.set_mode(CopyMode::Device);
        let (attachment, _calls) = attached(&buffer);
        let reader = thread::spawn({
            let buffer = buffer.clone();
            move || {
                for _ in 0..2 {
                    let mapping = attachment.map().unwrap();
                    if buffer.ready(Access::Read).status() == FenceStatus::Signalled {
                        assert_eq!(content(&memory_of(mapping.backing())), CONTENT, "I7");
                    }
                }
            }
        });
        buffer.move_to(&to(Placements::SHMEM)).unwrap();
        exporter.finish_copies();
        buffer.move_to(&to(Placements::HOST)).unwrap();
        exporter.finish_copies();
        reader.join().unwrap();
        assert_settled(&buffer, &exporter);
    });
}

#[test]
fn i6_memory_is_not_given_back_while_it_is_being_mapped() {
    explore(1500, || {
        let (buffer, exporter) = buffer("map and collect");
        let (attachment, _calls) = attached(&buffer);
        let mapper = thread::spawn(move || {
            let mapping = attachment.map().unwrap();
            let memory = memory_of(mapping.backing());
            let recycled = memory.recycled.load(std::sync::atomic::Ordering::SeqCst);
            assert!(!recycled, "I6: memory that is mapped was given back");
        });
        buffer.move_to(&to(Placements::SHMEM)).unwrap();
        buffer.dispatch();
        mapper.join().unwrap();
        assert_settled(&buffer, &exporter);
    });
}

#[test]
fn two_threads_that_map_share_one_object() {
    explore(500, || {
        let (buffer, _exporter) = buffer("map and map");
        let (attachment, _calls) = attached(&buffer);
        let other = thread::spawn({
            let attachment = attachment.clone();
            move || attachment.map().unwrap()
        });
        let mapping = attachment.map().unwrap();
        let other = other.join().unwrap();
        assert!(mapping.is_same(&other));
        assert_eq!(attachment.importer().objects(), 1);
    });
}
