//! A commit that fails for lack of memory pins nothing, and unpins nothing.
#![allow(clippy::unwrap_used)]

use dmashare::Fourcc;
use dmashare_drm::{Commit, CommitId, Event, OutputCommit};
use dmashare_lab_probe::for_each_failing_allocation;

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::movable::*;
use support::*;

/// The kernel's own allocations fail in turn. Dumb buffers: foreign memory is mapped in the ioctl by
/// vkms, and the kernel warns when that fails. They cannot move, and are counted all the same.
#[test]
fn i13_a_commit_without_memory_leaves_pins_as_they_were() {
    let screen = Screen::new();
    let dumb = screen.card.dumb_buffers();
    let buffers = ["one", "two", "target"].map(|name| {
        let buffer = buffer(&dumb, name, Fourcc::XRGB8888, screen.extent());
        Movable::of(buffer, &screen.card)
    });
    let [one, two, target] = &buffers;
    let finish = |id: CommitId| {
        let (mut flipped, mut written) = (false, false);
        wait_for(&screen.card, |event| {
            match event {
                Event::Flip { commit, .. } => flipped |= *commit == id,
                Event::Written { commit, .. } => written |= *commit == id,
                _ => {}
            }
            flipped && written
        });
    };
    let commit = |next: &Movable| {
        let output = screen.showing(&next.map()).writeback(&target.map());
        screen.card.commit(Commit::new().output(output))
    };
    for next in [one, two] {
        finish(commit(next).unwrap());
    }
    let mut refused = 0;
    let points = for_each_failing_allocation(
        || commit(if one.pins().is_empty() { one } else { two }),
        |nth, result| {
            match result {
                Ok(id) => {
                    let pinned = [one.pins(), two.pins(), target.pins()];
                    assert_eq!(
                        pinned,
                        [[screen.scanout()], [screen.scanout()], [screen.writeback()]],
                        "{nth}"
                    );
                    finish(id);
                }
                Err(_) => {
                    refused += 1;
                    // The kernel may have committed, and failed to say so.
                    std::thread::sleep(A_WHILE / 2);
                    screen.card.dispatch().unwrap();
                }
            }
            let pinned = one.pins().len() + two.pins().len();
            assert_eq!((pinned, target.pins().len()), (1, 0), "allocation {nth}");
        },
    );
    assert!(
        points > 3 && refused > 2,
        "{points} points, {refused} refused"
    );
    screen.show(OutputCommit::off(&screen.output));
    for buffer in &buffers {
        assert_eq!(buffer.pins(), NOTHING);
    }
}
