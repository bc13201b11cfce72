//! Another process was master for a while and switched off what this one showed: nothing of it stays
//! held.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use dmashare::{Fourcc, SharedBuffer};
use dmashare_drm::{Card, Commit, CommitId, Event, Output, OutputCommit, PlaneCommit};
use dmashare_lab_probe::VkmsDisplay;

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::*;

const MODE: &str = "640x480";

fn picture(card: &Card, output: &Output, name: &str) -> SharedBuffer {
    let extent = output.mode(MODE).unwrap().extent();
    buffer(&card.dumb_buffers(), name, Fourcc::XRGB8888, extent)
}

fn showing(card: &Card, output: &Output, buffer: &SharedBuffer) -> OutputCommit {
    OutputCommit::new(output)
        .mode(output.mode(MODE).unwrap())
        .plane(PlaneCommit::primary(&map(buffer, card)))
}

fn wait_for_flips(card: &Card, id: CommitId, outputs: &[Output]) {
    let mut left: Vec<_> = outputs.iter().map(Output::id).collect();
    wait_for(card, |event| {
        if let Event::Flip { output, commit, .. } = event
            && *commit == id
        {
            left.retain(|other| other != output);
        }
        left.is_empty()
    });
}

/// CRTCs that are on, as the kernel tells it.
fn active(display: &VkmsDisplay) -> usize {
    let state = display.state();
    state
        .lines()
        .filter(|line| line.trim() == "active=1")
        .count()
}

/// A card that shows a picture on both of its outputs, and is not master any more.
struct Away {
    pictures: [SharedBuffer; 2],
    outputs: Vec<Output>,
    card: Card,
    display: VkmsDisplay,
}

impl Away {
    fn new() -> Self {
        let display = VkmsDisplay::with_outputs(2);
        let card = Card::open(display.node()).unwrap();
        let outputs = connected(&card);
        assert_eq!(outputs.len(), 2);
        let pictures = [0, 1].map(|index| picture(&card, &outputs[index], "picture"));
        let commit = Commit::new()
            .output(showing(&card, &outputs[0], &pictures[0]))
            .output(showing(&card, &outputs[1], &pictures[1]));
        let id = card.commit(commit).unwrap();
        wait_for_flips(&card, id, &outputs);
        assert_eq!(active(&display), 2);
        card.release_master().unwrap();
        Self {
            pictures,
            outputs,
            card,
            display,
        }
    }

    fn free(&self) -> [bool; 2] {
        self.pictures.each_ref().map(is_free)
    }
}

#[test]
fn an_output_that_it_switched_off_holds_nothing() {
    let away = Away::new();
    let other = Card::open(away.display.node()).unwrap();
    let theirs = connected(&other);
    let their_picture = picture(&other, &theirs[0], "theirs");
    let id = other
        .commit(Commit::new().output(showing(&other, &theirs[0], &their_picture)))
        .unwrap();
    wait_for_flip(&other, id);
    assert_eq!(active(&away.display), 1);
    other.release_master().unwrap();

    away.card.acquire_master().unwrap();
    assert_eq!(away.free(), [false, false]);
    let next = picture(&away.card, &away.outputs[0], "next");
    let id = away
        .card
        .commit(Commit::new().output(showing(&away.card, &away.outputs[0], &next)))
        .unwrap();
    // Of the second output there is no event to wait for; of the first there is.
    assert_eq!(away.free(), [false, true]);
    wait_for_flip(&away.card, id);
    assert_eq!(away.free(), [true, true]);
    assert!(!is_free(&next));

    // It can be shown again, and is held again.
    let id = away
        .card
        .commit(Commit::new().output(showing(&away.card, &away.outputs[1], &away.pictures[1])))
        .unwrap();
    wait_for_flip(&away.card, id);
    assert_eq!(away.free(), [true, false]);
    let id = away
        .card
        .commit(Commit::new().output(OutputCommit::off(&away.outputs[1])))
        .unwrap();
    wait_for_flip(&away.card, id);
    assert_eq!(away.free(), [true, true]);
}

#[test]
fn an_output_that_it_left_on_holds_its_buffer_until_it_is_off() {
    let away = Away::new();
    away.card.acquire_master().unwrap();
    let next = picture(&away.card, &away.outputs[0], "next");
    away.card
        .commit(Commit::new().output(showing(&away.card, &away.outputs[0], &next)))
        .unwrap();
    assert_eq!(away.free(), [false, false]);
    for picture in &away.pictures {
        wait_until_free(&away.card, picture);
    }
    assert_eq!(active(&away.display), 1);
}

#[test]
fn a_commit_that_has_nothing_to_do_lets_go_of_everything() {
    let away = Away::new();
    let other = Card::open(away.display.node()).unwrap();
    let mut off = Commit::new();
    for output in connected(&other) {
        off = off.output(OutputCommit::off(&output));
    }
    other.commit(off).unwrap();
    let begun = Instant::now();
    while active(&away.display) > 0 {
        assert!(begun.elapsed() < LIMIT, "the displays stay on");
        std::thread::sleep(Duration::from_millis(5));
    }
    other.release_master().unwrap();

    away.card.acquire_master().unwrap();
    let before = away.card.statistics().atomic_ioctls;
    away.card
        .commit(Commit::new().output(OutputCommit::off(&away.outputs[0])))
        .unwrap();
    assert_eq!(away.card.statistics().atomic_ioctls, before);
    assert_eq!(away.free(), [true, true]);
}

/// The node as another program has it that lets the display sleep.
struct Sleeper(File);

impl AsFd for Sleeper {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl drm::Device for Sleeper {}
impl drm::control::Device for Sleeper {}

impl Sleeper {
    fn open(display: &VkmsDisplay) -> Self {
        let mut options = File::options();
        let this = Self(options.read(true).write(true).open(display.node()).unwrap());
        let atomic = drm::ClientCapability::Atomic;
        drm::Device::set_client_capability(&this, atomic, true).unwrap();
        this
    }

    fn set_inactive(&self, crtc: usize) {
        use drm::control::{AtomicCommitFlags, Device as _, atomic::AtomicModeReq, property};
        let crtc = self.resource_handles().unwrap().crtcs()[crtc];
        let properties = self.get_properties(crtc).unwrap();
        let active = properties.as_hashmap(self).unwrap()["ACTIVE"].handle();
        let mut request = AtomicModeReq::new();
        request.add_property(crtc, active, property::Value::Boolean(false));
        self.atomic_commit(AtomicCommitFlags::ALLOW_MODESET, request)
            .unwrap();
    }
}

#[test]
fn an_output_that_it_left_asleep_is_in_nobodys_way() {
    let away = Away::new();
    let sleeper = Sleeper::open(&away.display);
    sleeper.set_inactive(1);
    drop(sleeper);
    assert_eq!(active(&away.display), 1);

    away.card.acquire_master().unwrap();
    let next = picture(&away.card, &away.outputs[0], "next");
    let id = away
        .card
        .commit(Commit::new().output(showing(&away.card, &away.outputs[0], &next)))
        .unwrap();
    assert_eq!(away.free(), [false, true]);
    wait_for_flip(&away.card, id);
    assert_eq!(away.free(), [true, true]);
    // It can be woken.
    let id = away
        .card
        .commit(Commit::new().output(showing(&away.card, &away.outputs[1], &away.pictures[1])))
        .unwrap();
    wait_for_flip(&away.card, id);
    assert_eq!(active(&away.display), 2);
}

#[test]
fn an_output_that_sleeps_is_shown_on_or_switched_off() {
    for shows in [true, false] {
        let away = Away::new();
        let sleeper = Sleeper::open(&away.display);
        sleeper.set_inactive(0);
        sleeper.set_inactive(1);
        drop(sleeper);
        away.card.acquire_master().unwrap();
        if shows {
            let output = showing(&away.card, &away.outputs[1], &away.pictures[1]);
            let id = away.card.commit(Commit::new().output(output)).unwrap();
            wait_for_flip(&away.card, id);
        } else {
            let off = OutputCommit::off(&away.outputs[0]);
            away.card.commit(Commit::new().output(off)).unwrap();
        }
        assert_eq!(active(&away.display), usize::from(shows));
        // What sleeps has a mode, too; what is off has none.
        let state = away.display.state();
        let enabled = state.lines().filter(|line| line.trim() == "enable=1");
        assert_eq!(enabled.count(), usize::from(shows), "{state}");
        assert!(is_free(&away.pictures[0]));
    }
}
