//! Fences in both directions: what a flip waits for, and when a buffer is free again.
#![allow(clippy::unwrap_used)]

use dmashare::host::DmaHeap;
use dmashare::{
    Access, CpuAccess, FenceStatus, Fourcc, Mapping, SharedBuffer, SoftwareTimeline, Submission,
};
use dmashare_drm::{Card, Commit, CommitError, Event, OutputCommit};
use dmashare_lab_probe::SwSyncTimeline;

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::*;

fn picture(screen: &Screen, name: &str) -> (SharedBuffer, Mapping<Card>) {
    let heap = DmaHeap::open("system").unwrap();
    let buffer = buffer(&heap, name, Fourcc::XRGB8888, screen.extent());
    let mapping = map(&buffer, &screen.card);
    (buffer, mapping)
}

#[test]
fn a_flip_waits_for_the_fence_that_is_given_and_the_next_is_busy() {
    let screen = Screen::new();
    let (_, first) = picture(&screen, "first");
    let (second_buffer, second) = picture(&screen, "second");
    let (third_buffer, third) = picture(&screen, "third");
    screen.show(screen.showing(&first));
    let timeline = SwSyncTimeline::new();
    let fence = sync_fence(&timeline, 1);
    let id = screen
        .card
        .present(&screen.output, &second, Some(&fence))
        .unwrap();
    assert!(screen.card.wait_events(A_WHILE).unwrap().is_empty());
    assert!(!is_free(&second_buffer));

    let result = screen.card.present(&screen.output, &third, None);
    let Err(CommitError::Busy { outputs }) = result else {
        panic!("{result:?}");
    };
    assert_eq!(outputs, [screen.output.name()]);
    // Nothing is held after a refused commit.
    assert!(is_free(&third_buffer));
    assert_eq!(screen.card.statistics().busy, 1);

    timeline.increment(1);
    wait_for_flip(&screen.card, id);
    let id = screen.card.present(&screen.output, &third, None).unwrap();
    wait_for_flip(&screen.card, id);
}

#[test]
fn a_flip_waits_for_writers_that_only_the_reservation_knows() {
    let screen = Screen::new();
    let (_, first) = picture(&screen, "first");
    let (_, second) = picture(&screen, "second");
    screen.show(screen.showing(&first));
    let timeline = SwSyncTimeline::new();
    let write = Submission::begin([second.write()]).unwrap();
    write.commit(&sync_fence(&timeline, 1));
    let given = sync_fence(&timeline, 2);

    let id = screen
        .card
        .present(&screen.output, &second, Some(&given))
        .unwrap();
    assert!(screen.card.wait_events(A_WHILE).unwrap().is_empty());
    timeline.increment(1);
    assert!(screen.card.wait_events(A_WHILE).unwrap().is_empty());
    timeline.increment(1);
    wait_for_flip(&screen.card, id);
}

#[test]
fn the_explicit_fence_covers_the_reservation_when_it_is_the_same() {
    let screen = Screen::new();
    let (_, first) = picture(&screen, "first");
    let timeline = SwSyncTimeline::new();
    let fence = sync_fence(&timeline, 1);
    let write = Submission::begin([first.write()]).unwrap();
    write.commit(&fence);
    timeline.increment(1);
    let id = screen
        .card
        .present(&screen.output, &first, Some(&fence))
        .unwrap();
    wait_for_flip(&screen.card, id);
}

#[test]
fn a_software_fence_is_refused_until_it_has_signalled() {
    let screen = Screen::new();
    let (buffer, mapping) = picture(&screen, "software");
    let timeline = SoftwareTimeline::new("a worker thread");
    let write = Submission::begin([mapping.write()]).unwrap();
    write.commit(&timeline.fence(1));
    let result = screen.card.present(&screen.output, &mapping, None);
    match &result {
        Err(CommitError::NotReady { buffer, producer }) => {
            assert_eq!(
                (buffer.as_str(), producer.as_str()),
                ("software", "a worker thread")
            );
        }
        other => panic!("{other:?}"),
    }
    timeline.signal(1);
    assert!(is_free(&buffer));
    let id = screen.card.present(&screen.output, &mapping, None).unwrap();
    wait_for_flip(&screen.card, id);
}

#[test]
fn a_failed_fence_that_is_given_is_an_error() {
    let screen = Screen::new();
    let (buffer, mapping) = picture(&screen, "failed");
    let gone = {
        let timeline = SoftwareTimeline::new("a producer");
        timeline.fence(1)
    };
    let result = screen.card.present(&screen.output, &mapping, Some(&gone));
    assert!(matches!(result, Err(CommitError::Fence(_))), "{result:?}");
    assert!(is_free(&buffer));
}

#[test]
fn a_buffer_is_free_with_the_flip_of_a_later_commit() {
    let screen = Screen::new();
    let (first_buffer, first) = picture(&screen, "first");
    let (second_buffer, second) = picture(&screen, "second");
    screen.show(screen.showing(&first));
    assert!(!is_free(&first_buffer), "it is on the screen");
    // The same again is not a later use: it stays.
    screen.show(screen.showing(&first));
    assert!(!is_free(&first_buffer), "it is still on the screen");
    let id = screen.card.present(&screen.output, &second, None).unwrap();
    assert!(!is_free(&first_buffer), "the flip has not come");
    wait_for_flip(&screen.card, id);
    assert!(is_free(&first_buffer));
    assert!(!is_free(&second_buffer));
    // A reader need not wait for a reader.
    assert!(second_buffer.ready(Access::Read).is_empty());
}

#[test]
fn a_pending_writeback_keeps_the_buffer_after_the_flip() {
    // Large enough that software takes several refreshes to compose it.
    let screen = Screen::in_mode("1920x1080");
    let (first_buffer, first) = picture(&screen, "first");
    let (_, second) = picture(&screen, "second");
    let (target_buffer, target) = picture(&screen, "target");
    paint(first_buffer.backing().dmabuf(), 7);
    screen.show(screen.showing(&second));
    let mut kept_longer = 0;
    for round in 0..3 {
        paint_row(&target_buffer, 99);
        let commit = Commit::new().output(screen.showing(&first).writeback(&target));
        let captured = screen.card.commit(commit).unwrap();
        assert!(!target_buffer.ready(Access::Read).is_empty());
        // Which of the flips and the capture have been told; one batch may tell several.
        let (mut shown, mut flipped, mut written) = (false, false, false);
        let mut replaced = None;
        while !flipped || !written {
            assert!(
                !is_free(&first_buffer),
                "flipped {flipped}, written {written}"
            );
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
                // The target changes once the capture has begun: the next commit comes in the middle
                // of it.
                while first_row(&target_buffer) == row(99, 0, 1920 * 4) {
                    std::thread::yield_now();
                }
                let id = screen.card.present(&screen.output, &second, None);
                replaced = Some(id.unwrap());
            }
            kept_longer += usize::from(flipped && !written);
        }
        assert!(is_free(&first_buffer));
        if round == 0 {
            let shown = Shown::whole(7, Fourcc::XRGB8888, screen.extent());
            assert_eq!(wrong_pixels(&target_buffer, shown), 0);
        }
    }
    assert!(
        kept_longer > 0,
        "no flip came before the capture of what it replaced: the rule was not tried"
    );
}

fn paint_row(buffer: &SharedBuffer, seed: u32) {
    let mut access = CpuAccess::begin(buffer.backing().dmabuf(), Access::Write).unwrap();
    let bytes = access.row_bytes(0).unwrap();
    access.write_row(0, 0, &row(seed, 0, bytes)).unwrap();
}

fn first_row(buffer: &SharedBuffer) -> Vec<u8> {
    let access = CpuAccess::begin(buffer.backing().dmabuf(), Access::Read).unwrap();
    let mut bytes = vec![0; access.row_bytes(0).unwrap()];
    access.read_row(0, 0, &mut bytes).unwrap();
    bytes
}

#[test]
fn switching_off_frees_everything() {
    let screen = Screen::new();
    let (buffer, mapping) = picture(&screen, "picture");
    screen.show(screen.showing(&mapping));
    assert!(!is_free(&buffer));
    // The plane goes off, the output stays on.
    screen.show(OutputCommit::new(&screen.output));
    assert!(is_free(&buffer));
    screen.show(screen.showing(&mapping));
    assert!(!is_free(&buffer));
    screen.show(OutputCommit::off(&screen.output));
    assert!(is_free(&buffer));
    assert!(screen.display.state().contains("active=0"));
    // Off and off again: nothing happens, and nothing comes.
    let before = screen.card.statistics();
    let off = Commit::new().output(OutputCommit::off(&screen.output));
    screen.card.commit(off).unwrap();
    assert_eq!(screen.card.statistics(), before);
    assert!(screen.card.wait_events(A_WHILE).unwrap().is_empty());
    // And on again.
    screen.show(screen.showing(&mapping));
}

#[test]
fn closing_the_card_frees_everything_while_fences_are_pending() {
    let screen = Screen::new();
    let (shown, mapping) = picture(&screen, "shown");
    let (waiting, waits) = picture(&screen, "waiting");
    screen.show(screen.showing(&mapping));
    let timeline = SwSyncTimeline::new();
    let fence = sync_fence(&timeline, 1);
    screen
        .card
        .present(&screen.output, &waits, Some(&fence))
        .unwrap();
    timeline.increment(1);
    let display = screen.display;
    // The mappings that are only on the screen do not keep the card.
    drop((mapping, waits));
    drop(screen.card);
    assert!(is_free(&shown) && is_free(&waiting));
    assert!(shown.attachments().is_empty() && waiting.attachments().is_empty());
    assert_eq!(display.framebuffers_after_commits(0), 0);
}

#[test]
fn a_buffer_on_the_screen_stays_attached_without_its_owner() {
    let screen = Screen::new();
    let (buffer, mapping) = picture(&screen, "picture");
    let (_, next) = picture(&screen, "next");
    screen.show(screen.showing(&mapping));
    drop(mapping);
    assert_eq!(buffer.attachments().len(), 1, "the display reads it");
    assert_eq!(screen.display.framebuffers(), 2);
    screen.show(screen.showing(&next));
    assert!(buffer.attachments().is_empty());
    assert_eq!(screen.display.framebuffers_after_commits(1), 1);
}

#[test]
fn a_target_cannot_be_on_the_screen() {
    let screen = Screen::new();
    let (_, shown) = picture(&screen, "shown");
    let (_, other) = picture(&screen, "other");
    screen.show(screen.showing(&shown));
    let commit = Commit::new().output(screen.showing(&other).writeback(&shown));
    let result = screen.card.commit(&commit);
    assert!(
        matches!(&result, Err(CommitError::NotReady { buffer, .. }) if buffer == "shown"),
        "{result:?}"
    );
}

#[test]
fn targets_that_do_not_fit_are_refused() {
    let screen = Screen::new();
    let (_, shown) = picture(&screen, "shown");
    let heap = DmaHeap::open("system").unwrap();
    let small = buffer(
        &heap,
        "small",
        Fourcc::XRGB8888,
        dmashare::Extent::new(64, 64),
    );
    let video = buffer(&heap, "video", Fourcc::NV12, screen.extent());
    for target in [small, video] {
        let commit = screen
            .showing(&shown)
            .writeback(&map(&target, &screen.card));
        let result = screen.card.commit(Commit::new().output(commit));
        assert!(
            matches!(result, Err(CommitError::NoWriteback { .. })),
            "{result:?}"
        );
        assert!(is_free(&target));
    }
}

#[test]
fn out_fences_signal_with_the_flip() {
    let screen = Screen::new();
    let (_, first) = picture(&screen, "first");
    let (_, second) = picture(&screen, "second");
    screen.show(screen.showing(&first));
    let timeline = SwSyncTimeline::new();
    let plane = dmashare_drm::PlaneCommit::primary(&second).fence(&sync_fence(&timeline, 1));
    let commit = Commit::new().output(OutputCommit::new(&screen.output).plane(plane));
    let (id, fences) = screen.card.commit_with_out_fences(&commit).unwrap();
    let [(output, fence)] = &fences[..] else {
        panic!("{fences:?}");
    };
    assert_eq!(*output, screen.output.id());
    assert_eq!(fence.status().unwrap(), FenceStatus::Pending);
    timeline.increment(1);
    fence.wait(LIMIT).unwrap();
    wait_for_flip(&screen.card, id);
}
