//! A commit that is busy or is refused pins nothing, and unpins nothing.
#![allow(clippy::unwrap_used)]

use dmashare::{PinError, Placements, SoftwareTimeline, Submission, SubmitError};
use dmashare_drm::{Commit, CommitError, OutputCommit, PlaneCommit, Rectangle};
use dmashare_lab_probe::SwSyncTimeline;

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::movable::*;
use support::*;

#[test]
fn i13_a_busy_commit_leaves_pins_as_they_were() {
    let screen = Screen::new();
    let [first, second, third, target] =
        ["first", "second", "third", "target"].map(|name| picture(&screen, name));
    screen.show(screen.showing(&first.map()));
    let timeline = SwSyncTimeline::new();
    let fence = sync_fence(&timeline, 1);
    let id = screen
        .card
        .present(&screen.output, &second.map(), Some(&fence))
        .unwrap();
    let busy = Commit::new().output(screen.showing(&third.map()));
    for _ in 0..2 {
        let result = screen.card.commit(&busy);
        assert!(
            matches!(result, Err(CommitError::Busy { .. })),
            "{result:?}"
        );
        first.assert_held_by(&[&screen.scanout()]);
        second.assert_held_by(&[&screen.scanout()]);
        assert_eq!(third.pins(), NOTHING);
    }
    let capturing = screen.showing(&second.map()).writeback(&target.map());
    let result = screen.card.commit(Commit::new().output(capturing));
    assert!(
        matches!(result, Err(CommitError::Busy { .. })),
        "{result:?}"
    );
    assert_eq!(second.pins(), [screen.scanout()]);
    target.assert_moves();
    timeline.increment(1);
    wait_for_flip(&screen.card, id);
    first.assert_moves();
    third.assert_moves();
    // It may have moved meanwhile: the old mapping is refused then.
    let result = screen.card.commit(&busy);
    assert!(
        matches!(result, Err(CommitError::Submit(SubmitError::Stale { .. }))),
        "{result:?}"
    );
    screen.show(screen.showing(&third.map()));
}

#[test]
fn i13_a_commit_that_is_refused_pins_nothing() {
    let screen = Screen::new();
    let first = picture(&screen, "first");
    let second = picture(&screen, "second");
    let target = picture(&screen, "target");
    screen.show(screen.showing(&first.map()));
    let ok = |mapping| PlaneCommit::primary(mapping);
    let mapping = second.map();
    let refused = [
        // vkms does not scale.
        ok(&mapping).destination(Rectangle::new(0, 0, 320, 200)),
        // Found before the driver is asked.
        ok(&mapping).source(Rectangle::new(0, 0, 10_000, 1)),
    ];
    for plane in refused {
        let output = OutputCommit::new(&screen.output)
            .plane(plane)
            .writeback(&target.map());
        let result = screen.card.commit(Commit::new().output(output));
        assert!(
            matches!(
                result,
                Err(CommitError::Rejected { .. } | CommitError::Source { .. })
            ),
            "{result:?}"
        );
        first.assert_held_by(&[&screen.scanout()]);
        assert_eq!((second.pins().len(), target.pins().len()), (0, 0));
    }
    // A fence that a display cannot wait for is found when everything is pinned.
    let timeline = SoftwareTimeline::new("a worker thread");
    let write = Submission::begin([mapping.write()]).unwrap();
    write.commit(&timeline.fence(1));
    let output = screen.showing(&mapping).writeback(&target.map());
    let result = screen.card.commit(Commit::new().output(output));
    assert!(
        matches!(result, Err(CommitError::NotReady { .. })),
        "{result:?}"
    );
    assert_eq!((second.pins().len(), target.pins().len()), (0, 0));
    timeline.signal(1);
    target.assert_moves();
    second.assert_moves();
    first.assert_held_by(&[&screen.scanout()]);
}

#[test]
fn i4_a_stale_mapping_is_refused_at_the_commit() {
    let screen = Screen::new();
    let first = picture(&screen, "first");
    let second = picture(&screen, "second");
    screen.show(screen.showing(&first.map()));
    let stale = second.map();
    second.move_to(Placements::SHMEM).unwrap();
    let before = screen.card.statistics();
    for output in [
        screen.showing(&stale),
        screen.showing(&first.map()).writeback(&stale),
    ] {
        let result = screen.card.commit(Commit::new().output(output));
        let Err(CommitError::Submit(SubmitError::Stale { buffer })) = result else {
            panic!("{result:?}");
        };
        assert_eq!(buffer, "second");
        assert_eq!(second.pins(), NOTHING);
        first.assert_held_by(&[&screen.scanout()]);
    }
    assert_eq!(screen.card.statistics(), before, "the driver was not asked");
    screen.show(screen.showing(&second.map()));
    assert_eq!(second.pins(), [screen.scanout()]);
}

#[test]
fn what_cannot_be_pinned_is_not_shown() {
    let screen = Screen::new();
    let first = picture(&screen, "first");
    let second = picture(&screen, "second");
    screen.show(screen.showing(&first.map()));
    // A move whose copy waits for a fence.
    let timeline = SoftwareTimeline::new("a worker thread");
    let write = Submission::begin([second.map().write()]).unwrap();
    write.commit(&timeline.fence(1));
    let wanted = dmashare::AccessConstraint::placements(Placements::SHMEM);
    let moved = second.buffer.move_to(&wanted).unwrap();
    let mapping = second.map();
    let present = || screen.card.present(&screen.output, &mapping, None);
    let result = present();
    assert!(
        matches!(&result, Err(CommitError::Pin(PinError::Moving { buffer })) if buffer == "second"),
        "{result:?}"
    );
    timeline.signal(1);
    moved.wait(LIMIT).unwrap();
    wait_for_flip(&screen.card, present().unwrap());
    screen.show(screen.showing(&first.map()));

    // It is not over while the mapping is held.
    let _revocation = second.buffer.revoke().unwrap();
    let result = present();
    assert!(
        matches!(&result, Err(CommitError::Pin(PinError::Revoked { buffer })) if buffer == "second"),
        "{result:?}"
    );
    let submission = Submission::begin([first.map().read()]).unwrap();
    let result = screen.card.present(&screen.output, &first.map(), None);
    drop(submission);
    assert!(
        matches!(
            result,
            Err(CommitError::Submit(SubmitError::WouldDeadlock { .. }))
        ),
        "{result:?}"
    );
    assert_eq!(second.pins(), NOTHING);
    first.assert_held_by(&[&screen.scanout()]);
}
