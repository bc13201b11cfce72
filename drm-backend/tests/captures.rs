//! No capture is lost, whatever comes after it, and each is of the picture that it was committed
//! with. vkms as it is distributed loses some: these tests are what the lab's patches are for.
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use dmashare::{FenceStatus, Fourcc, Mapping, SharedBuffer};
use dmashare_drm::{Card, Commit, CommitId, Event, OutputCommit};

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::*;

/// What goes wrong does so when the kernel's threads run late: not in every round.
const ROUNDS: u32 = 60;

/// A display with two pictures, painted with their places as seeds, and two targets.
struct Captures {
    screen: Screen,
    pictures: [(SharedBuffer, Mapping<Card>); 2],
    targets: [(SharedBuffer, Mapping<Card>); 2],
}

impl Captures {
    fn new() -> Self {
        let screen = Screen::new();
        let dumb = screen.card.dumb_buffers();
        let format = Fourcc::XRGB8888;
        let pictures = [0, 1].map(|seed| {
            let picture = painted(&dumb, "picture", format, screen.extent(), seed);
            let mapping = map(&picture, &screen.card);
            (picture, mapping)
        });
        let targets = [0, 1].map(|_| {
            let target = buffer(&dumb, "target", format, screen.extent());
            let mapping = map(&target, &screen.card);
            (target, mapping)
        });
        Self {
            screen,
            pictures,
            targets,
        }
    }

    fn showing(&self, picture: usize) -> OutputCommit {
        self.screen.showing(&self.pictures[picture].1)
    }

    fn capture(&self, picture: usize, target: usize) -> CommitId {
        let output = self.showing(picture).writeback(&self.targets[target].1);
        let commit = Commit::new().output(output);
        self.screen.card.commit(commit).unwrap()
    }

    fn assert_captured(&self, picture: usize, target: usize) {
        let seed = u32::try_from(picture).unwrap();
        let shown = Shown::whole(seed, Fourcc::XRGB8888, self.screen.extent());
        assert_eq!(wrong_pixels(&self.targets[target].0, shown), 0);
    }
}

/// What a card has told, in whatever order it came.
#[derive(Default)]
struct Told {
    flips: Vec<CommitId>,
    captures: Vec<CommitId>,
}

impl Told {
    /// Waits until all of these have flipped or been written.
    fn wait_for(&mut self, card: &Card, flips: &[CommitId], captures: &[CommitId]) {
        let begun = Instant::now();
        while !(flips.iter().all(|id| self.flips.contains(id))
            && captures.iter().all(|id| self.captures.contains(id)))
        {
            assert!(
                begun.elapsed() < LIMIT,
                "not all of the flips {flips:?} and captures {captures:?} came"
            );
            for event in card.wait_events(LIMIT).unwrap() {
                match event {
                    Event::Flip { commit, .. } => self.flips.push(commit),
                    Event::Written { commit, status, .. } => {
                        assert_eq!(status, FenceStatus::Signalled);
                        self.captures.push(commit);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

/// The kernel cleans up after a capture when its fence has signalled: the next one is faster.
#[test]
fn captures_that_follow_each_other_at_once_are_written() {
    let captures = Captures::new();
    for round in 0..ROUNDS {
        let picture = round as usize % 2;
        let id = captures.capture(picture, 0);
        wait_for_capture(&captures.screen.card, id);
        if round % 16 < 2 {
            captures.assert_captured(picture, 0);
        }
    }
}

/// Only the flip is waited for: the next commit replaces a picture that is still being captured, or
/// of which that has not begun.
#[test]
fn captures_are_written_when_the_next_commit_is_faster() {
    let captures = Captures::new();
    let card = &captures.screen.card;
    let mut told = Told::default();
    for round in 0..ROUNDS {
        let first = captures.capture(0, 0);
        told.wait_for(card, &[first], &[]);
        if round % 2 == 0 {
            let flip = card.present(&captures.screen.output, &captures.pictures[1].1, None);
            told.wait_for(card, &[flip.unwrap()], &[first]);
        } else {
            let second = captures.capture(1, 1);
            told.wait_for(card, &[second], &[first, second]);
        }
        if round % 16 < 2 {
            captures.assert_captured(0, 0);
        }
        if round % 16 == 1 {
            captures.assert_captured(1, 1);
        }
    }
}

/// An output that goes on has its flip at once: it is switched off again before its first refresh.
#[test]
fn captures_are_written_when_the_output_is_switched_off() {
    let captures = Captures::new();
    let card = &captures.screen.card;
    let mut told = Told::default();
    for _ in 0..ROUNDS / 4 {
        let id = captures.capture(0, 0);
        told.wait_for(card, &[id], &[]);
        let off = Commit::new().output(OutputCommit::off(&captures.screen.output));
        let off = card.commit(off).unwrap();
        told.wait_for(card, &[off], &[id]);
    }
    captures.assert_captured(0, 0);
}
