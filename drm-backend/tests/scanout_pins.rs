//! What the display reads or writes is pinned through its attachment, from the commit on until it has
//! finished with it.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use dmashare::{Access, CpuAccess, Fence, Fourcc, Moment, Placements, SharedBuffer};
use dmashare_drm::{
    Card, Commit, CommitError, Event, Output, OutputCommit, PlaneCommit, PlaneKind, Rectangle,
};
use dmashare_lab_probe::{SwSyncTimeline, VkmsDisplay};

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::movable::*;
use support::*;

#[test]
fn i2_a_buffer_on_the_screen_does_not_move() {
    let screen = Screen::new();
    let first = picture(&screen, "first");
    assert_eq!(first.pins(), NOTHING);
    screen.show(screen.showing(&first.map()));
    first.assert_held_by(&[&screen.scanout()]);
    assert_eq!(
        (first.told(), made_by(&first.buffer).as_str()),
        (0, "system")
    );
    assert!(!first.map().is_stale());
    // Another buffer takes its place.
    let second = picture(&screen, "second");
    screen.show(screen.showing(&second.map()));
    second.assert_held_by(&[&screen.scanout()]);
    first.assert_moves();
    assert_eq!(
        first.told(),
        1,
        "the display had mapped the first memory only"
    );
}

#[test]
fn i1_a_pin_lasts_from_the_commit_to_the_flip_of_a_later_one() {
    let screen = Screen::new();
    let first = picture(&screen, "first");
    let second = picture(&screen, "second");
    let timeline = SwSyncTimeline::new();
    let present = |buffer: &Movable, fence: Option<&Fence>| {
        let card = &screen.card;
        card.present(&screen.output, &buffer.map(), fence).unwrap()
    };
    screen.show(screen.showing(&second.map()));

    // From the commit on, which has not been shown yet.
    let id = present(&first, Some(&sync_fence(&timeline, 1)));
    assert!(screen.card.wait_events(A_WHILE).unwrap().is_empty());
    first.assert_held_by(&[&screen.scanout()]);
    second.assert_held_by(&[&screen.scanout()]);
    timeline.increment(1);
    wait_for_flip(&screen.card, id);
    second.assert_moves();
    // Not until its own flip only.
    first.assert_held_by(&[&screen.scanout()]);
    // The same again is no other use: it has no other pin, and loses none with that flip.
    let id = present(&first, None);
    first.assert_held_by(&[&screen.scanout()]);
    wait_for_flip(&screen.card, id);
    first.assert_held_by(&[&screen.scanout()]);

    // Nor until the commit of another.
    let id = present(&second, Some(&sync_fence(&timeline, 2)));
    assert!(screen.card.wait_events(A_WHILE).unwrap().is_empty());
    first.assert_held_by(&[&screen.scanout()]);
    timeline.increment(1);
    wait_for_flip(&screen.card, id);
    first.assert_moves();
    second.assert_held_by(&[&screen.scanout()]);
}

#[test]
fn a_buffer_that_comes_back_is_pinned_for_each_time_it_is_shown() {
    let screen = Screen::new();
    let first = picture(&screen, "first");
    let second = picture(&screen, "second");
    screen.show(screen.showing(&first.map()));
    screen.show(screen.showing(&second.map()));
    // Its memory has changed meanwhile: this is another framebuffer.
    first.move_to(Placements::SHMEM).unwrap();
    let timeline = SwSyncTimeline::new();
    let fence = sync_fence(&timeline, 1);
    let id = screen
        .card
        .present(&screen.output, &first.map(), Some(&fence))
        .unwrap();
    assert_eq!(first.pins(), [screen.scanout()]);
    timeline.increment(1);
    wait_for_flip(&screen.card, id);
    assert_eq!((first.pins().len(), second.pins().len()), (1, 0));
}

fn first_row(buffer: &SharedBuffer) -> Vec<u8> {
    let access = CpuAccess::begin(buffer.backing().dmabuf(), Access::Read).unwrap();
    let mut bytes = vec![0; access.row_bytes(0).unwrap()];
    access.read_row(0, 0, &mut bytes).unwrap();
    bytes
}

#[test]
fn i1_a_pending_capture_keeps_both_pins_after_the_flip() {
    // Large enough that software takes several refreshes to compose it.
    let screen = Screen::in_mode("1920x1080");
    let first = Movable::painted(&screen.card, "first", screen.extent(), 7);
    let second = picture(&screen, "second");
    let target = picture(&screen, "target");
    screen.show(screen.showing(&second.map()));
    let mut kept_longer = 0;
    for round in 0..3 {
        paint(target.buffer.backing().dmabuf(), 99);
        let before = first_row(&target.buffer);
        let output = screen.showing(&first.map()).writeback(&target.map());
        let captured = screen.card.commit(Commit::new().output(output)).unwrap();
        target.assert_held_by(&[&screen.writeback()]);
        first.assert_held_by(&[&screen.scanout()]);
        // Which of the flips and the capture have been told; one batch may tell several.
        let (mut shown, mut flipped, mut written) = (false, false, false);
        let mut replaced = None;
        while !flipped || !written {
            let events = screen.card.wait_events(LIMIT).unwrap();
            assert!(!events.is_empty(), "flipped {flipped}, written {written}");
            for event in events {
                match event {
                    Event::Flip { commit, .. } => {
                        shown |= commit == captured;
                        flipped |= Some(commit) == replaced;
                    }
                    Event::Written { commit, .. } => written |= commit == captured,
                    other => panic!("{other:?}"),
                }
            }
            if shown && replaced.is_none() {
                // It has begun once the target changes.
                while first_row(&target.buffer) == before {
                    std::thread::yield_now();
                }
                let card = &screen.card;
                let id = card.present(&screen.output, &second.map(), None);
                replaced = Some(id.unwrap());
            }
            if !flipped || !written {
                first.assert_held_by(&[&screen.scanout()]);
            }
            if !written {
                target.assert_held_by(&[&screen.writeback()]);
            }
            kept_longer += usize::from(flipped && !written);
        }
        // Both are free, and what was captured moves along.
        first.assert_moves();
        target.assert_moves();
        if round == 0 {
            let shown = Shown::whole(7, Fourcc::XRGB8888, screen.extent());
            assert_eq!(wrong_pixels(&target.buffer, shown), 0);
        }
    }
    assert!(
        kept_longer > 0,
        "no flip came before the capture of what it replaced: the rule was not tried"
    );
}

#[test]
fn switching_off_unpins_with_its_flip() {
    let screen = Screen::new();
    let first = picture(&screen, "first");
    for off in [
        OutputCommit::new(&screen.output),
        OutputCommit::off(&screen.output),
    ] {
        screen.show(screen.showing(&first.map()));
        first.assert_held_by(&[&screen.scanout()]);
        let id = screen.card.commit(Commit::new().output(off)).unwrap();
        first.assert_held_by(&[&screen.scanout()]);
        wait_for_flip(&screen.card, id);
        first.assert_moves();
    }
    // What an output that goes off is to be captured into is not written.
    let target = picture(&screen, "target");
    screen.show(screen.showing(&first.map()));
    screen.show(OutputCommit::off(&screen.output).writeback(&target.map()));
    assert_eq!(target.pins(), NOTHING);
}

#[test]
fn closing_the_card_unpins_everything() {
    let screen = Screen::new();
    let [shown, waiting, target] =
        ["shown", "waiting", "target"].map(|name| picture(&screen, name));
    screen.show(screen.showing(&shown.map()));
    let output = screen.showing(&waiting.map()).writeback(&target.map());
    screen.card.commit(Commit::new().output(output)).unwrap();
    // The kernel has done it, and nobody has dispatched. (It does not like to lose a vkms device
    // whose capture it has not begun.)
    target.buffer.wait_ready(Access::Read, LIMIT).unwrap();
    shown.assert_held_by(&[&screen.scanout()]);
    waiting.assert_held_by(&[&screen.scanout()]);
    target.assert_held_by(&[&screen.writeback()]);
    let buffers = [shown, waiting, target].map(|movable| movable.buffer);
    // The attachments were the display's last holders but for itself.
    assert!(buffers.iter().all(|buffer| buffer.pins() == 1));
    let Screen { card, display, .. } = screen;
    drop(card);
    for buffer in &buffers {
        assert_eq!(pins(buffer), NOTHING);
        assert!(buffer.attachments().is_empty());
        move_to(buffer, Placements::SHMEM).unwrap();
    }
    assert_eq!(display.framebuffers_after_commits(0), 0);
}

#[test]
fn losing_master_unpins_nothing() {
    let screen = Screen::new();
    let first = picture(&screen, "first");
    let second = picture(&screen, "second");
    screen.show(screen.showing(&first.map()));
    screen.card.release_master().unwrap();
    first.assert_held_by(&[&screen.scanout()]);
    let result = screen.card.present(&screen.output, &second.map(), None);
    assert!(
        matches!(result, Err(CommitError::NoMaster(_))),
        "{result:?}"
    );
    second.assert_moves();

    // Another program shows something and goes.
    let other = Card::open(screen.display.node()).unwrap();
    let output = connected(&other).remove(0);
    let theirs = Movable::new(&other, "theirs", screen.extent());
    let commit = OutputCommit::new(&output).mode(output.mode("640x480").unwrap());
    let commit = commit.plane(PlaneCommit::primary(&theirs.map()));
    let id = other.commit(Commit::new().output(commit)).unwrap();
    wait_for_flip(&other, id);
    assert!(screen.card.wait_events(A_WHILE).unwrap().is_empty());
    first.assert_held_by(&[&screen.scanout()]);
    other.release_master().unwrap();

    screen.card.acquire_master().unwrap();
    first.assert_held_by(&[&screen.scanout()]);
    screen.show(screen.showing(&second.map()));
    first.assert_moves();
    second.assert_held_by(&[&screen.scanout()]);
    // Nobody has told the other program: it holds what it showed until its own next commit.
    theirs.assert_held_by(&[&screen.scanout()]);
}

#[test]
fn a_pin_is_as_old_as_the_flip_that_shows_the_buffer() {
    let screen = Screen::new();
    let first = picture(&screen, "first");
    let second = picture(&screen, "second");
    let since = |movable: &Movable| movable.buffer.report().pins[0].since;
    let before = Moment::now();
    let id = screen
        .card
        .commit(Commit::new().output(screen.showing(&first.map())))
        .unwrap();
    assert!(before <= since(&first) && since(&first) <= Moment::now());
    let flip = |id| match wait_for_flip(&screen.card, id) {
        Event::Flip { time, .. } => Moment::from_monotonic(time),
        _ => unreachable!(),
    };
    let first_flip = flip(id);
    assert_eq!(since(&first), first_flip);
    // Nothing happens for a while; then the pin is not as old as that.
    std::thread::sleep(Duration::from_millis(200));
    let commit = Commit::new().output(screen.showing(&second.map()));
    let id = screen.card.commit(commit).unwrap();
    assert_eq!(since(&second), first_flip);
    let second_flip = flip(id);
    assert_eq!(since(&second), second_flip);
    assert!(second_flip.as_monotonic() - first_flip.as_monotonic() >= Duration::from_millis(200));
}

#[test]
fn a_static_attachment_pins_by_being_there() {
    let screen = Screen::new();
    let buffer = movable("picture", screen.extent());
    let mapping = map(&buffer, &screen.card);
    let name = [screen.card.name()];
    screen.show(screen.showing(&mapping));
    assert_eq!(pins(&buffer), name, "one pin, the attachment's");
    drop(mapping);
    assert_eq!(pins(&buffer), name, "the display holds the attachment");
    screen.show(OutputCommit::off(&screen.output));
    assert_eq!(pins(&buffer), NOTHING);
    move_to(&buffer, Placements::SHMEM).unwrap();
}

#[test]
fn i1_a_buffer_on_two_planes_has_two_pins() {
    let screen = Screen::new();
    let buffer = picture(&screen, "picture");
    let overlay = screen
        .output
        .planes()
        .iter()
        .find(|plane| plane.kind() == PlaneKind::Overlay)
        .unwrap();
    let small = Rectangle::new(0, 0, 64, 64);
    let mapping = buffer.map();
    let above = PlaneCommit::on(overlay, &mapping)
        .source(small)
        .destination(small);
    screen.show(screen.showing(&mapping).plane(above));
    buffer.assert_held_by(&[&screen.scanout(), &screen.scanout()]);
    screen.show(screen.showing(&mapping));
    buffer.assert_held_by(&[&screen.scanout()]);
    screen.show(OutputCommit::new(&screen.output));
    buffer.assert_moves();
}

fn showing(output: &Output, buffer: &Movable) -> OutputCommit {
    OutputCommit::new(output)
        .mode(output.mode("640x480").unwrap())
        .plane(PlaneCommit::primary(&buffer.map()))
}

#[test]
fn i1_two_outputs_pin_by_their_own_names() {
    let display = VkmsDisplay::with_outputs(2);
    let card = Card::open(display.node()).unwrap();
    let outputs = connected(&card);
    let labels: Vec<String> = outputs
        .iter()
        .map(|output| format!("scanout {}", output.name()))
        .collect();
    let [left, right] = [labels[0].as_str(), labels[1].as_str()];
    assert_ne!(left, right);
    let extent = outputs[0].mode("640x480").unwrap().extent();
    let [one, two] = ["one", "two"].map(|name| Movable::new(&card, name, extent));
    let commit = |commit: Commit, flips: usize| {
        let id = card.commit(commit).unwrap();
        let mut seen = 0;
        wait_for(&card, |event| {
            seen += usize::from(matches!(event, Event::Flip { commit, .. } if *commit == id));
            seen == flips
        });
    };
    let both = Commit::new()
        .output(showing(&outputs[0], &one))
        .output(showing(&outputs[1], &two));
    commit(both, 2);
    one.assert_held_by(&[left]);
    two.assert_held_by(&[right]);
    // The same buffer on both.
    commit(Commit::new().output(showing(&outputs[1], &one)), 1);
    one.assert_held_by(&[left, right]);
    two.assert_moves();
    // Each output lets go of its own.
    commit(Commit::new().output(showing(&outputs[0], &two)), 1);
    one.assert_held_by(&[right]);
    two.assert_held_by(&[left]);
    commit(Commit::new().output(OutputCommit::off(&outputs[1])), 1);
    one.assert_moves();
    two.assert_held_by(&[left]);
}
