//! move ‖ move, signal ‖ free, and who waits for a move.

use std::sync::Arc;
use std::time::Duration;

use dmashare::{Access, FenceError, MoveError, Placements, SoftwareTimeline};
use shuttle::thread;

use crate::support::fake_exporter::{CopyMode, Step};
use crate::{assert_settled, attached, buffer, explore, submit, to};

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn i6_old_memory_is_freed_once_and_after_its_fences() {
    explore(1500, || {
        let (buffer, exporter) = buffer("signal and free");
        exporter.set_mode(CopyMode::Device);
        let (attachment, _calls) = attached(&buffer);
        let timeline = Arc::new(SoftwareTimeline::new("gpu"));
        let mapping = attachment.map().unwrap();
        assert!(submit(&mapping, &buffer, &timeline.fence(1)));
        drop(mapping);
        buffer.move_to(&to(Placements::SHMEM)).unwrap();
        let signaller = thread::spawn({
            let (timeline, exporter) = (timeline.clone(), exporter.clone());
            move || {
                timeline.signal(1);
                exporter.finish_copies();
            }
        });
        let collector = thread::spawn({
            let buffer = buffer.clone();
            move || buffer.dispatch()
        });
        let collected = buffer.dispatch() + collector.join().unwrap();
        signaller.join().unwrap();
        let collected = collected + buffer.dispatch();
        assert_eq!(collected, 1, "old memory is given back once");
        assert_settled(&buffer, &exporter);
    });
}

#[test]
fn one_who_waits_for_the_buffer_is_not_told_of_a_move_that_is_undone() {
    explore(1500, || {
        let (buffer, exporter) = buffer("undone while waited for");
        let mover = thread::spawn({
            let (buffer, exporter) = (buffer.clone(), exporter.clone());
            move || {
                for _ in 0..2 {
                    exporter.fail(Step::Copy, 0);
                    let moved = buffer.move_to(&to(Placements::SHMEM));
                    assert!(moved.is_ok() || exporter.stop_failing(), "{moved:?}");
                }
            }
        });
        // The content is right in the old memory, whatever becomes of the move. One who only looks is
        // told at most that it is not ready yet.
        let looked = buffer.wait_ready(Access::Read, Duration::ZERO);
        assert!(
            matches!(looked, Ok(()) | Err(FenceError::Timeout { .. })),
            "{looked:?}"
        );
        buffer.wait_ready(Access::Read, LONG).unwrap();
        mover.join().unwrap();
        buffer.wait_ready(Access::Write, LONG).unwrap();
        assert_settled(&buffer, &exporter);
    });
}

#[test]
fn i3_of_two_movers_each_moves_or_is_refused() {
    explore(1500, || {
        let (buffer, exporter) = buffer("two movers");
        let (attachment, calls) = attached(&buffer);
        drop(attachment.map().unwrap());
        let other = thread::spawn({
            let buffer = buffer.clone();
            move || buffer.move_to(&to(Placements::SHMEM)).map(|_| ())
        });
        let own = buffer.move_to(&to(Placements::SHMEM)).map(|_| ());
        for moved in [own, other.join().unwrap()] {
            assert!(
                matches!(moved, Ok(()) | Err(MoveError::Moving { .. })),
                "{moved:?}"
            );
        }
        // However they met: at most one move each, and one call for what was mapped (I5).
        let generation = buffer.backing().generation().as_u64();
        assert!((2..=3).contains(&generation), "{generation}");
        assert_eq!(calls.generations(), [1]);
        assert_settled(&buffer, &exporter);
    });
}

#[test]
fn whoever_waits_for_a_move_is_woken() {
    explore(1500, || {
        let (buffer, exporter) = buffer("waiting");
        let (attachment, _calls) = attached(&buffer);
        let timeline = Arc::new(SoftwareTimeline::new("gpu"));
        let mapping = attachment.map().unwrap();
        assert!(submit(&mapping, &buffer, &timeline.fence(1)));
        drop(mapping);
        // The copy cannot begin: the CPU does it, and the device has not finished.
        let moved = buffer.move_to(&to(Placements::SHMEM)).unwrap();
        let fence = moved.fence().unwrap().clone();
        let waiter = thread::spawn(move || fence.wait(LONG).unwrap());
        let signaller = thread::spawn({
            let (buffer, timeline) = (buffer.clone(), timeline.clone());
            move || {
                timeline.signal(1);
                buffer.dispatch();
            }
        });
        moved.wait(LONG).unwrap();
        waiter.join().unwrap();
        signaller.join().unwrap();
        assert_settled(&buffer, &exporter);
    });
}

#[test]
fn a_wait_for_readiness_ends_while_another_thread_moves() {
    explore(1500, || {
        let (buffer, exporter) = buffer("readiness");
        let mover = thread::spawn({
            let buffer = buffer.clone();
            move || drop(buffer.move_to(&to(Placements::SHMEM)).unwrap())
        });
        buffer.wait_ready(dmashare::Access::Write, LONG).unwrap();
        mover.join().unwrap();
        assert_settled(&buffer, &exporter);
    });
}
